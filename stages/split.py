"""Split: table -> tensors and schema.        python -m stages.split

Reads   the table at data.path; params: data, split, compute
Writes  data/tensors/{train,val,test}.safetensors, data/tensors/schema.json
"""

from vintage.base.stage import Stage

STAGE = Stage("split")  # ahead of NumPy and PyTorch

from pathlib import Path

from vintage.base import console
from vintage.base.params import load_params
from vintage.base.waiting import waiting
from vintage.table.store import store_split

TENSORS = Path("data/tensors")
SCRATCH = Path("data/scratch")


def main() -> None:
    params = load_params()
    streaming = params.compute.streaming
    with waiting("splitting"):
        lines = list(store_split(params.data, params.split, streaming, TENSORS, SCRATCH))
    for line in lines:
        console.say(line)


if __name__ == "__main__":
    STAGE.run(main)
