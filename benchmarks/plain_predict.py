"""The rival: predictions as a notebook would make them, in one go.

    python -m benchmarks.plain_predict CHECKPOINT TABLE OUTPUT

Read by pandas, the plain forward pass of the same replicas on all threads, written by pandas.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from vintage.network.checkpoint import read_checkpoint

ensemble, _, schema = read_checkpoint(Path(sys.argv[1]))
table = pd.read_csv(sys.argv[2])
numbers = table[[feature.name for feature in schema.features]].to_numpy()
features = torch.tensor(numbers, dtype=torch.float32)
ensemble.eval()
with torch.no_grad():
    parts = [
        ensemble(ensemble.encoder(chunk)).softmax(dim=-1).mean(dim=0)
        for chunk in features.split(8192)
    ]
probabilities = torch.cat(parts).numpy()
output = pd.DataFrame(probabilities, columns=[f"probability_{name}" for name in schema.classes])
output.insert(0, "predicted", np.array(schema.classes)[probabilities.argmax(axis=1)])
output.to_csv(sys.argv[3], index_label="row")
