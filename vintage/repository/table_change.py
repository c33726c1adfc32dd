"""How the table of one revision differs from that of another, row by row."""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vintage.base.console import InputError
from vintage.base.tensors import MISSING
from vintage.repository.revisions import Revision, read_file
from vintage.table.cells import Place, with_nulls
from vintage.table.identity import Hashes, Ids, ids_of_column, row_ids, table_hashes
from vintage.table.read import read_table

NO_ID = (None, "none")


@dataclass(frozen=True)
class TableChange:
    """Rows by their ids; only with a column of ids, `data.id`, a row can be known as changed.

    Attributes:
        unknown: in words, why the rows could not be compared; None if they were.
    """

    added: int = 0
    removed: int = 0
    changed: int = 0
    unknown: str | None = None


def table_change(a: Revision, b: Revision) -> TableChange | None:
    """What became of the rows of A's table in B's; None if it is the same file, byte for byte."""
    if a.table_md5 is None or b.table_md5 is None:
        return TableChange(unknown="dvc.lock does not tell of it")
    if a.table_md5 == b.table_md5:
        return None
    try:
        (ids_a, contents_a), (ids_b, contents_b) = _rows(a), _rows(b)
    except InputError as error:
        return TableChange(unknown=str(error))
    _, places_a, places_b = np.intersect1d(ids_a, ids_b, return_indices=True)
    return TableChange(
        added=len(ids_b) - len(places_b),
        removed=len(ids_a) - len(places_a),
        changed=int((contents_a[places_a] != contents_b[places_b]).sum()),
    )


def _rows(revision: Revision) -> tuple[Ids, Hashes]:
    """The ids and the contents of the rows of a revision's table."""
    path = Path(str(revision.params["data.path"]))
    content = read_file(revision.commit, path)
    if content is None:
        raise InputError(f"{path} of {revision.name} is neither in Git nor in DVC's cache")
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != revision.table_md5:
        raise InputError(f"{path} of {revision.name} is not the table that was split")
    listed = revision.params.get("data.missing")
    missing = [str(text) for text in listed] if isinstance(listed, list) else MISSING
    with tempfile.TemporaryDirectory(prefix="vintage-") as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(content)
        delimiter = str(revision.params.get("data.delimiter", "auto"))
        table = read_table(copy, delimiter, missing=missing)
    contents = table_hashes(table, missing)
    column = revision.params.get("data.id")
    if column in NO_ID:
        return row_ids(contents), contents
    if column not in table.column_names:
        raise InputError(f"{path} of {revision.name} has no column {column!r}")
    place = Place(str(path), np.arange(table.num_rows), str(column))
    return ids_of_column(with_nulls(table[column], missing), place), contents
