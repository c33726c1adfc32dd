import hashlib

import pandas as pd
from sklearn.model_selection import train_test_split

from tests.conftest import ROOT

TABLE = ROOT / "data/wine.csv"


def test_the_table_is_the_one_that_the_readme_describes() -> None:
    digest = hashlib.sha256(TABLE.read_bytes()).hexdigest()
    assert digest in (ROOT / "data/README.md").read_text(encoding="utf-8")


def test_what_was_found_in_it() -> None:
    table = pd.read_csv(TABLE)
    assert table.shape == (1143, 12)
    assert table.duplicated().sum() == 125
    assert table.drop(columns="quality").duplicated().sum() == 125
    counts = table["quality"].value_counts().to_dict()
    assert counts == {3: 6, 4: 33, 5: 483, 6: 462, 7: 143, 8: 16}


def test_a_plain_split_would_leak() -> None:
    table = pd.read_csv(TABLE)
    train, test = train_test_split(table, test_size=0.2, random_state=42)
    known = set(map(tuple, train.to_numpy().tolist()))
    assert sum(tuple(row) in known for row in test.to_numpy().tolist()) == 43
