"""Split a table into tensor files, in memory or in parts: the bytes are the same."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from vintage.base.machine import keep_freed_memory
from vintage.base.params import DataParams, SplitParams
from vintage.base.tensors import write_examples, write_schema
from vintage.table.dataset import load_dataset
from vintage.table.sharing import examples_of, schema_of, share_out
from vintage.table.streamed import is_in_parts, split_in_parts
from vintage.table.summary import summary


def store_split(
    data: DataParams,
    split: SplitParams,
    streaming: Literal["auto"] | bool,
    folder: Path,
    scratch: Path,
) -> Iterator[str]:
    """Write `{train,val,test}.safetensors` and `schema.json`; returns what is to be told of them.

    Args:
        folder: for these files.
        scratch: a folder for what does not fit into memory; it is removed at the end.

    Raises:
        InputError: the table or the parameters make no split.
    """
    shutil.rmtree(scratch, ignore_errors=True)  # which a killed split has left
    if is_in_parts(data, split, streaming):
        schema, lines = split_in_parts(data, split, folder, scratch)
        write_schema(folder / "schema.json", schema)
        return lines
    keep_freed_memory()
    table = load_dataset(data, split)
    shared = share_out(table, data.kinds, split)
    for name, examples in examples_of(table, shared).items():
        write_examples(folder / f"{name}.safetensors", examples)
    schema = schema_of(table, shared, data)
    write_schema(folder / "schema.json", schema)
    return summary(table, shared, schema, data)
