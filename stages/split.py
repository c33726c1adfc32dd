"""Split: table -> tensors and schema.        python -m stages.split

Reads   the table at data.path; params: data, split, compute
Writes  data/tensors/{train,val,test}.safetensors, data/tensors/schema.json
"""

from vintage.base.stage import Stage

STAGE = Stage("split")  # ahead of NumPy and PyTorch

from pathlib import Path

from vintage.base import console
from vintage.base.machine import keep_freed_memory
from vintage.base.params import load_params
from vintage.base.tensors import write_examples, write_schema
from vintage.table.dataset import load_dataset
from vintage.table.sharing import examples_of, schema_of, share_out
from vintage.table.streamed import is_in_parts, split_in_parts
from vintage.table.summary import summary

TENSORS = Path("data/tensors")
SCRATCH = Path("data/scratch")  # for what does not fit into memory; removed at the end


def main() -> None:
    params = load_params()
    if is_in_parts(params.data, params.split, params.compute.streaming):
        schema, lines = split_in_parts(params.data, params.split, TENSORS, SCRATCH)
        write_schema(TENSORS / "schema.json", schema)
        for line in lines:
            console.say(line)
        return

    keep_freed_memory()
    data = load_dataset(params.data, params.split)
    shared = share_out(data, params.data.kinds, params.split)
    for name, examples in examples_of(data, shared).items():
        write_examples(TENSORS / f"{name}.safetensors", examples)
    schema = schema_of(data, shared, params.data)
    write_schema(TENSORS / "schema.json", schema)
    for line in summary(data, shared, schema, params.data):
        console.say(line)


if __name__ == "__main__":
    STAGE.run(main)
