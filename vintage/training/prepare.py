"""From rows to a trained ensemble: what the train stage does between reading and writing."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vintage.base.console import InputError
from vintage.base.params import ModelParams, TrainParams
from vintage.base.recipe import Architecture, Recipe
from vintage.base.tensors import Features, Integers, Schema
from vintage.network import workers
from vintage.network.arithmetic import ARITHMETIC
from vintage.network.ensemble import Ensemble, build_ensemble, choose_device
from vintage.training.auto import resolve_architecture, resolve_recipe
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
        seeds: of each replica's initial weights.
        train, val: on one device; None: there are no rows to validate by.
        class_weights: see `vintage.training.fit.fit`.
        is_calibrated: whether to fit the temperature on the validation rows.
    """

    architecture: Architecture
    recipe: Recipe
    seeds: list[int]
    ensemble: Ensemble
    train: Part
    val: Part | None
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
            fit_temperature(self.ensemble, self.val)


def prepare(
    model: ModelParams,
    train: TrainParams,
    schema: Schema,
    train_rows: Rows,
    val_rows: Rows,
    folds: Integers | None = None,
) -> Training:
    """Resolve `auto`, build the ensemble, and encode the rows on its device.

    Args:
        train_rows, val_rows: features float32 `[n, n_features]`, as the tensor files hold them, and
            labels int64 `[n]`; the validation rows may be empty.
        folds: of the train rows, see `vintage.base.tensors.Examples`; then each replica leaves one
            of them out, and is validated by it instead. What is fitted to columns, and what `auto`
            goes by, comes from all train rows.

    Raises:
        InputError: the parameters do not fit each other, the rows or the machine.
    """
    device = choose_device(train.device, train.numerics)
    n_rows, n_features = train_rows[0].shape
    if workers.size() > n_rows:
        raise InputError(
            f"there are {workers.size()} workers for {n_rows} train rows; use as many at most, and "
            "rather one for some thousand rows"
        )
    architecture = resolve_architecture(model, n_rows, n_features)
    seeds = [train.seed + replica for replica in range(train.replicas)]
    arithmetic = ARITHMETIC[train.numerics]
    ensemble = build_ensemble(architecture, schema, seeds, train_rows[0], arithmetic).to(device)
    encoded, val_encoded = (
        (
            ensemble.encode(torch.from_numpy(features).to(device)),
            torch.from_numpy(labels).to(device),
        )
        for features, labels in (train_rows, val_rows)
    )
    if folds is not None:
        numbers = torch.from_numpy(folds).to(device)
        learned, val = (Part.of_folds(*encoded, numbers, held) for held in (False, True))
    else:
        learned, val = Part.of_all(*encoded), Part.of_all(*val_encoded)
    is_balanced = train.class_weight == "balanced"
    return Training(
        architecture=architecture,
        recipe=resolve_recipe(train, n_rows, int(learned.n_own().min())),
        seeds=seeds,
        ensemble=ensemble,
        train=learned,
        val=val if val.places.numel() else None,
        class_weights=balanced_weights(learned, len(schema.classes)) if is_balanced else None,
        is_calibrated=train.calibration == "temperature",
    )
