"""From rows to a trained ensemble: what the train stage does between reading and writing."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vintage.base.console import InputError
from vintage.base.params import ModelParams, TrainParams
from vintage.base.recipe import Recipe
from vintage.base.tensors import Features, Integers, PartFile, Schema
from vintage.network import workers
from vintage.network.arithmetic import ARITHMETIC
from vintage.network.ensemble import Ensemble, build_ensemble, choose_device
from vintage.training.auto import resolve_architecture, resolve_recipe
from vintage.training.blocks import FITTED_ROWS, Blocks
from vintage.training.calibration import fit_temperature
from vintage.training.fit import History, Report, fit
from vintage.training.resume import ResumeFile
from vintage.training.rows import Part, balanced_weights

Rows = tuple[Features, Integers]


@dataclass(frozen=True)
class Training:
    """A training that is about to start, or has ended.

    Attributes:
        ensemble: with initial weights until `run`.
        train, val: on one device; None: there are no rows to validate by.
        class_weights: see `vintage.training.fit.fit`.
        is_calibrated: whether to fit the temperature on the validation rows.
    """

    recipe: Recipe
    ensemble: Ensemble
    train: Part | Blocks
    val: Part | Blocks | None
    class_weights: Tensor | None
    is_calibrated: bool

    def run(self, resume: ResumeFile | None = None, report: Report = lambda *_: None) -> History:
        """Train and calibrate the ensemble; see `vintage.training.fit.fit`."""
        history = fit(
            self.ensemble, self.train, self.val, self.recipe, self.class_weights, resume, report
        )
        self.calibrate()
        return history

    def calibrate(self) -> None:
        """Fit the temperature of the trained ensemble, if it is asked for and can be."""
        if self.is_calibrated and self.val is not None:
            rows = self.val if isinstance(self.val, Part) else self.val.sample()
            fit_temperature(self.ensemble, rows)


def prepare(
    model: ModelParams,
    train: TrainParams,
    schema: Schema,
    train_rows: Rows | PartFile,
    val_rows: Rows | PartFile,
    folds: Integers | None = None,
) -> Training:
    """Resolve `auto`, build the ensemble, and encode the rows on its device.

    Args:
        train_rows, val_rows: features float32 `[n, n_features]`, as the tensor files hold them, and
            labels int64 `[n]`, or files, both of them, whose rows are too many for the memory:
            then what is fitted to columns is fitted to `vintage.training.blocks.FITTED_ROWS` of the
            train rows, and the temperature to `CALIBRATED_ROWS` of the validation rows. The
            validation rows may be empty.
        folds: of the train rows, see `vintage.base.tensors.Examples`; then each replica leaves one
            of them out, and is validated by it instead. What is fitted to columns, and what `auto`
            goes by, comes from all train rows.

    Raises:
        InputError: the parameters do not fit each other, the rows or the machine.
    """
    device = choose_device(train.device, train.numerics)
    if device.type == "cuda" and train.numerics == "fast":
        torch.set_float32_matmul_precision("high")  # products in TF32
    if isinstance(train_rows, PartFile):
        n_rows = train_rows.n_rows
        features = train_rows.features_to_fit(FITTED_ROWS)
    else:
        n_rows, features = len(train_rows[0]), train_rows[0]
    if workers.size() > n_rows:
        raise InputError(
            f"there are {workers.size()} workers for {n_rows} train rows; use one worker a row at "
            "most, and for a few thousand rows a single one"
        )
    architecture = resolve_architecture(model, n_rows, features.shape[1])
    seeds = [train.seed + replica for replica in range(train.replicas)]
    arithmetic = ARITHMETIC[train.numerics]
    ensemble = build_ensemble(architecture, schema, seeds, features, arithmetic).to(device)

    def encode(features: Tensor) -> Tensor:
        return ensemble.encode(features.to(device))

    def part_of(rows: Rows | PartFile) -> Part | Blocks:
        if isinstance(rows, PartFile):
            return Blocks(rows, encode)
        return Part.of_all(encode(torch.from_numpy(rows[0])), torch.from_numpy(rows[1]).to(device))

    learned, val = part_of(train_rows), part_of(val_rows)
    if folds is not None:
        assert isinstance(learned, Part), "rows in folds are in memory"
        numbers = torch.from_numpy(folds).to(device)
        every = learned
        learned, val = (
            Part.of_folds(every.inputs, every.labels, numbers, held) for held in (False, True)
        )
    weights = None
    if train.class_weight == "balanced":
        weights = balanced_weights(learned.class_counts(len(schema.classes))).to(device)
    return Training(
        recipe=resolve_recipe(train, n_rows, int(learned.n_own().min())),
        ensemble=ensemble,
        train=learned,
        val=val if val.n_rows else None,
        class_weights=weights,
        is_calibrated=train.calibration == "temperature",
    )
