"""Split a table into tensor files, in memory or in parts: the bytes are the same."""

from collections.abc import Iterator
from pathlib import Path

from vintage.base.machine import keep_freed_memory
from vintage.base.params import Params
from vintage.base.tensors import write_examples, write_schema
from vintage.table.dataset import load_dataset
from vintage.table.sharing import examples_of, schema_of, share_out
from vintage.table.streamed import is_in_parts, split_in_parts
from vintage.table.summary import summary


def store_split(params: Params, folder: Path, scratch: Path) -> Iterator[str]:
    """Write `{train,val,test}.safetensors` and `schema.json`; returns what is to be told of them.

    Args:
        folder: for these files.
        scratch: a folder for what does not fit into memory; it is removed at the end.

    Raises:
        InputError: the table or the parameters make no split.
    """
    if is_in_parts(params.data, params.split, params.compute.streaming):
        schema, lines = split_in_parts(params.data, params.split, folder, scratch)
        write_schema(folder / "schema.json", schema)
        return lines
    keep_freed_memory()
    data = load_dataset(params.data, params.split)
    shared = share_out(data, params.data.kinds, params.split)
    for name, examples in examples_of(data, shared).items():
        write_examples(folder / f"{name}.safetensors", examples)
    schema = schema_of(data, shared, params.data)
    write_schema(folder / "schema.json", schema)
    return summary(data, shared, schema, params.data)
