"""How the table of one revision differs from that of another, row by row."""

import hashlib
import tempfile
from pathlib import Path

import numpy as np

from vintage.base.console import InputError
from vintage.base.tensors import MISSING
from vintage.repository.revisions import Revision, read_file
from vintage.table.cells import Place, with_nulls
from vintage.table.identity import Hashes, Ids, ids_of_column, row_ids, table_hashes
from vintage.table.read import read_table


def table_change(a: Revision, b: Revision) -> dict[str, int | str] | None:
    """How many rows of B's table are `added`, `removed` and `changed`; None if it is the same file.

    Rows are known by their ids, so one is `changed` only with a column of ids, `data.id`. If the
    tables cannot be compared, the only key is `unknown`, with the reason in words.
    """
    if a.table_md5 and a.table_md5 == b.table_md5:
        return None
    try:
        (ids_a, contents_a), (ids_b, contents_b) = _rows(a), _rows(b)
    except InputError as error:
        return {"unknown": str(error)}
    _, places_a, places_b = np.intersect1d(ids_a, ids_b, return_indices=True)
    return {
        "added": len(ids_b) - len(places_b),
        "removed": len(ids_a) - len(places_a),
        "changed": int((contents_a[places_a] != contents_b[places_b]).sum()),
    }


def _rows(revision: Revision) -> tuple[Ids, Hashes]:
    """The ids and the contents of the rows of a revision's table."""
    if revision.table_md5 is None:
        raise InputError("dvc.lock does not tell of it")
    path, params = Path(revision.params["data.path"]), revision.params
    content = read_file(revision.commit, path)
    if content is None:
        raise InputError(f"{path} of {revision.name} is neither in Git nor in DVC's cache")
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != revision.table_md5:
        raise InputError(f"{path} of {revision.name} is not the table that was split")
    missing = params.get("data.missing", MISSING)
    with tempfile.TemporaryDirectory(prefix="vintage-") as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(content)
        table = read_table(copy, params.get("data.delimiter", "auto"), missing=missing)
    contents = table_hashes(table, missing)
    column = params.get("data.id", "none")
    if column == "none":
        return row_ids(contents), contents
    place = Place(str(path), np.arange(table.num_rows), column)
    return ids_of_column(with_nulls(table[column], missing), place), contents
