"""How the table of one revision differs from that of another, row by row."""

import tempfile
from pathlib import Path

import numpy as np

from vintage.base.console import InputError
from vintage.base.tensors import MISSING
from vintage.repository.cache import folder_md5, md5_of
from vintage.repository.revisions import Revision, read_file
from vintage.table.cells import Place, with_nulls
from vintage.table.identity import Hashes, Ids, ids_of_column, row_ids, table_hashes
from vintage.table.read import read_table


def table_change(a: Revision, b: Revision) -> str:
    """What became of the rows of A's table in B's, in words; "" if it is the same file.

    Rows are known by their ids, so one has changed only with a column of ids, `data.id`.
    """
    if a.table_md5 and a.table_md5 == b.table_md5:
        return ""
    try:
        (ids_a, contents_a), (ids_b, contents_b) = _rows(a), _rows(b)
    except InputError as error:
        return f"; how the table has changed is not known: {error}"
    _, places_a, places_b = np.intersect1d(ids_a, ids_b, return_indices=True)
    counts = {
        "added": len(ids_b) - len(places_b),
        "removed": len(ids_a) - len(places_a),
        "changed": int((contents_a[places_a] != contents_b[places_b]).sum()),
    }
    words = [f"{n} row{'s' * (n != 1)} {what}" for what, n in counts.items() if n]
    return (
        f"; the table has changed: {', '.join(words) or 'the same rows, written or ordered anew'}"
    )


def _rows(revision: Revision) -> tuple[Ids, Hashes]:
    """The ids and the contents of the rows of a revision's table."""
    if revision.table_md5 is None:
        raise InputError("dvc.lock does not tell of it")
    path, params = Path(revision.params["data.path"]), revision.params
    missing = params.get("data.missing", MISSING)
    with tempfile.TemporaryDirectory(prefix="vintage-") as folder:
        copy = Path(folder) / path.name
        _copy_table(revision, path, copy)
        if (folder_md5(copy) if copy.is_dir() else md5_of(copy)) != revision.table_md5:
            raise InputError(
                f"{path} of {revision.name} is not the table that was split: edited after the last "
                "run, or overwritten in DVC's cache"
            )
        table = read_table(copy, params.get("data.delimiter", "auto"), missing=missing)
    contents = table_hashes(table, missing)
    column = params.get("data.id", "none")
    if column == "none":
        return row_ids(contents), contents
    place = Place(str(path), np.arange(table.num_rows), column)
    return ids_of_column(with_nulls(table[column], missing), place), contents


def _copy_table(revision: Revision, path: Path, copy: Path) -> None:
    """InputError if it is not to be had."""
    absent = InputError(f"{path} of {revision.name} is neither in Git nor in DVC's cache")
    assert revision.table_md5
    if not revision.table_md5.endswith(".dir"):
        content = read_file(revision.commit, path)
        if content is None:
            raise absent
        copy.write_bytes(content)
        return
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException

    try:
        files = DVCFileSystem(".", rev=revision.commit)
        files.get(path.as_posix(), str(copy), recursive=True)
    except (DvcException, OSError):
        raise absent from None
