import re

import pandas as pd
from sklearn.model_selection import train_test_split

from tests.conftest import ROOT, USERS, WINE


def test_what_data_readme_says_was_found_in_it() -> None:
    table = pd.read_csv(WINE)
    assert table.shape == (1143, 12)
    assert table.duplicated().sum() == 125
    assert table.drop(columns="quality").duplicated().sum() == 125
    counts = table["quality"].value_counts().to_dict()
    assert counts == {3: 6, 4: 33, 5: 483, 6: 462, 7: 143, 8: 16}


def test_a_plain_split_would_leak() -> None:
    table = pd.read_csv(WINE)
    train, test = train_test_split(table, test_size=0.2, random_state=42)
    known = set(map(tuple, train.to_numpy().tolist()))
    assert sum(tuple(row) in known for row in test.to_numpy().tolist()) == 43


def test_no_test_reads_what_is_the_users() -> None:
    names = "|".join(re.escape(name.rstrip("/")) for name in USERS)
    reading = re.compile(rf"""\bROOT / f?["']({names})\b""")
    found = [
        f"{file.name}: {line.strip()}"
        for file in (ROOT / "tests").rglob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if reading.search(line)
    ]
    assert not found, "take tests.conftest.PARAMS, WINE or PENGUINS"
