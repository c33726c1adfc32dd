"""How many models were scored on the same test rows, as far as Git knows.

Each look at a test score that is followed by a choice makes the chosen score better than the model.
"""

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from vintage.report.differences import Difference, lead_by_chance
from vintage.repository.git import run_git
from vintage.scores.metrics import METRICS
from vintage.scores.predictions import Predictions

MOST = 1_000  # files of predictions that are read, the newest ones
FEWEST = 3  # models; a comparison has two by itself
BLOB = re.compile(rb"^:\d+ \d+ [0-9a-f]+ ([0-9a-f]+) [AM]", re.MULTILINE)


def count_looks(predictions: Predictions, path: Path) -> int:
    """How many different predictions of these test rows lie in the workspace, in any commit that a
    branch, a tag or a DVC experiment leads to, or in a stash.

    Args:
        path: of `predictions.csv`, in the workspace and in the commits.
    """
    own = {f"x{identity:016x}" for identity in predictions.ids.view(np.uint64).tolist()}
    contents = list(_committed(path))
    if path.is_file():
        contents.append(path.read_bytes())
    return len({hashlib.sha256(each).digest() for each in contents if _ids_of(each) == own})


def count_each(models: Iterable[Predictions], path: Path) -> list[int]:
    """See `count_looks`; 0 where an earlier one of them has the same test rows."""
    told: set[frozenset[int]] = set()
    counts = []
    for predictions in models:
        rows = frozenset(predictions.ids.tolist())
        counts.append(0 if rows in told else count_looks(predictions, path))
        told.add(rows)
    return counts


def looks_in_words(n_models: int, warn_from: int, metrics: Mapping[str, Difference]) -> str | None:
    """What so many looks mean; None if they are no more than the two of a comparison.

    Args:
        metrics: of a comparison; the models are taken to differ as much as its two.
    """
    if n_models < FEWEST:
        return None
    leads = [
        f"{lead_by_chance(n_models, each.error):.3f} in {METRICS[name].title}"
        for name, each in metrics.items()
        if each.error
    ]
    said = f"{n_models} models were scored on these test rows, as far as Git knows."
    if leads:
        said += (
            " If all were as good as each other, the best would still lead their mean by about "
            f"{', '.join(leads)}."
        )
    return f"warning: {said}" if n_models >= warn_from else said


def _committed(path: Path) -> Iterator[bytes]:
    shown = run_git("log", "--all", "--raw", "--no-abbrev", "--format=", "--", path.as_posix())
    for blob in list(dict.fromkeys(BLOB.findall(shown.stdout)))[:MOST]:
        yield run_git("cat-file", "blob", blob.decode()).stdout


def _ids_of(content: bytes) -> set[str] | None:
    """The rows that a file of predictions is of; None if it is of another form."""
    try:
        lines = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""))
        return {line["id"] for line in lines}
    except (UnicodeDecodeError, KeyError, csv.Error):
        return None
