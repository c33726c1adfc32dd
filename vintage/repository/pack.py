"""Settings that are trained together, and what each leaves."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from vintage.base.console import InputError
from vintage.base.files import write_json
from vintage.base.params import Params
from vintage.network.checkpoint import read_checkpoint
from vintage.repository.validation import NAMES, TENSORS, Tensors, validate
from vintage.scores.evaluation import best_epoch, followed, plain_scores
from vintage.training.fit import History
from vintage.training.pack import train_all
from vintage.training.prepare import Training, prepare
from vintage.training.results import write_results

CHECKPOINT, LOSSES, EVALUATION = "data/checkpoint", "metrics/losses.json", "metrics/evaluation.json"
PACKAGE = Path(__file__).parents[1]

Files = dict[str, bytes]  # by path


def prepared(params: Params, tensors: Tensors) -> Training:
    """The training of a setting, which is about to start.

    Raises:
        InputError: the parameters do not fit each other, the rows or the machine.
    """
    schema, train, val = tensors
    rows, val_rows = (train.features, train.labels), (val.features, val.labels)
    return prepare(params.model, params.train, schema, rows, val_rows, train.folds)


def train_pack(settings: Sequence[Params], tensors: Tensors) -> Iterator[Files | str]:
    """Train settings together, in halves if one of them cannot be trained; yields the files of
    each, or why it could not be trained."""
    try:
        trainings = [prepared(params, tensors) for params in settings]
        histories = train_all(trainings)
    except InputError as error:
        if len(settings) == 1:
            yield str(error)
            return
        middle = len(settings) // 2
        yield from train_pack(settings[:middle], tensors)
        yield from train_pack(settings[middle:], tensors)
        return
    for params, training, history in zip(settings, trainings, histories, strict=True):
        yield _files(params, tensors, training, history)


def _files(params: Params, tensors: Tensors, training: Training, history: History) -> Files:
    """The checkpoint, the losses, and the validation score."""
    schema, *rows = tensors
    with tempfile.TemporaryDirectory(prefix="vintage-") as name:
        root = Path(name)
        checkpoint, losses = root / CHECKPOINT, root / LOSSES
        write_results(checkpoint, losses, training, history, schema, rows, params.train.numerics)
        validation = validate(read_checkpoint(checkpoint, params.train.device), tensors)
        scores = plain_scores(validation.rows.labels, validation.probabilities)
        epochs = {"trained": len(history.train_losses), "best": best_epoch(history.records())}
        write_json(root / EVALUATION, {"val": followed(scores), "epochs": epochs})
        written = [path for path in root.rglob("*") if path.is_file()]
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in written}


def digests_of(root: Path) -> dict[str, str]:
    """Of all that the files depend on besides the settings, by its name."""
    digests = {str(TENSORS / name): _digest_of(root / TENSORS / name) for name in NAMES}
    code = "".join(_digest_of(path) for path in sorted(PACKAGE.rglob("*.py")))
    digests["code"] = hashlib.sha256(code.encode()).hexdigest()
    return digests | {"version of PyTorch": str(torch.__version__)}


def _digest_of(path: Path) -> str:
    """Of its content; empty for what is missing."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
