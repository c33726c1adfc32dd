"""Split: table -> tensors and schema.        python -m stages.split

Reads   the table at data.path; params: data, split
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
from vintage.table.summary import summary

TENSORS = Path("data/tensors")


def main() -> None:
    params = load_params()
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
