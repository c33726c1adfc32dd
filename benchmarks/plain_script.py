"""The rival: the bare recipe in one plain script, as a notebook would have it.

    python benchmarks/plain_script.py TABLE TARGET FOLDER

No validation, no replicas, no intervals: split, train one network for 100 epochs, score, plot.
"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss
from sklearn.model_selection import train_test_split
from torch import nn

path, target, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
table = pd.read_csv(path)
x, y = table.drop(columns=target), table[target].astype("category").cat.codes
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, random_state=42)
features = torch.tensor(x_train.to_numpy(), dtype=torch.float32)
labels = torch.tensor(y_train.to_numpy(), dtype=torch.int64)
torch.save((features, labels), folder / "train.pt")

torch.manual_seed(42)
model = nn.Sequential(
    nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, y.nunique())
)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
losses = []
for epoch in range(100):
    optimizer.zero_grad()
    loss = nn.CrossEntropyLoss()(model(features), labels)
    loss.backward()
    optimizer.step()
    losses.append({"epoch": epoch + 1, "loss": loss.item()})
torch.save(model.state_dict(), folder / "model.pt")
(folder / "losses.json").write_text(json.dumps(losses))

with torch.no_grad():
    probabilities = model(torch.tensor(x_test.to_numpy(), dtype=torch.float32)).softmax(dim=1)
predicted = probabilities.argmax(dim=1).numpy()
scores = {
    "accuracy": accuracy_score(y_test, predicted),
    "f1_macro": f1_score(y_test, predicted, average="macro"),
    "log_loss": log_loss(y_test, probabilities.double().numpy(), labels=range(y.nunique())),
}
(folder / "metrics.json").write_text(json.dumps(scores))
plt.plot([record["epoch"] for record in losses], [record["loss"] for record in losses])
plt.savefig(folder / "losses.png")
plt.figure()
plt.imshow(confusion_matrix(y_test, predicted))
plt.savefig(folder / "confusion.png")
