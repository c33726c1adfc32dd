"""Would more data help? The log loss after training on an eighth of the train rows, up to all.

The recipe is the checkpoint's. All networks are trained in one pack: for each share some that draw
their own rows, by whole groups, a smaller share from within a larger one. An epoch of every share
has as many steps as that of the largest, since a smaller share's rows come several times in it; so
what differs is the rows, and not how long a network was trained. Each network keeps the epoch with
its lowest loss on validation rows, the same ones for all: of folds, the first.
"""

from dataclasses import replace

import numpy as np
import torch

from vintage.base.console import InputError
from vintage.base.params import ModelParams, TrainParams
from vintage.base.tensors import Examples, Features, Schema
from vintage.explain.bounds import Mean, rounded
from vintage.explain.explanation import Learned, LearningCurve
from vintage.explain.sampling import grouped_order, some_rows, whole_groups
from vintage.network.checkpoint import Checkpoint
from vintage.scores.rows import Floats, Labels, Truths, row_losses
from vintage.training.fit import Report
from vintage.training.prepare import Rows, Training, prepare
from vintage.training.rows import Part, balanced_weights

COPIES = (8, 4, 2, 1)  # of the rows of each share in an epoch; a share is one divided by them
FEWEST_DRAWS, MOST_DRAWS = 2, 4  # of each share; as many networks in all as the checkpoint has
FEWEST_ROWS = 160  # of the train rows, 20 in the smallest share
MOST_ROWS = 5_000  # of the largest share, which bounds the cost
MOST_INPUTS = 2**26  # numbers: 256 MB


def learning_curve(
    checkpoint: Checkpoint,
    parts: tuple[Examples, Examples, Examples],
    train: TrainParams,
    confidence: float,
    report: Report = lambda *_: None,
) -> LearningCurve | None:
    """Train the pack and score it on the test rows; None if there are too few train rows,
    or groups of them, or the test rows are all of one group.

    The interval of a log loss is that of the test rows. That of the gain counts in how far the
    draws of one share differ.

    Args:
        parts: train, validation and test rows.
        train: for its class_weight and device; what else is trained by is in the checkpoint.

    Raises:
        InputError: the checkpoint says nothing of its recipe.
    """
    train_rows, val_rows, test = parts
    pool, val = _divided(train_rows, val_rows)
    generator = np.random.default_rng(train.seed)
    n_inputs = checkpoint.ensemble.encoder.n_outputs
    most = min(MOST_ROWS, MOST_INPUTS // (COPIES[0] * n_inputs))
    if min(most, len(pool.rows)) < FEWEST_ROWS or len(np.unique(test.groups)) < 2:
        return None
    taken = some_rows(grouped_order(pool.groups, generator), pool.groups, most)
    pool = pool.take(np.sort(taken))
    told = _tells(pool.features)
    pool, test = (part._replace(features=_blanked(part.features, told)) for part in (pool, test))
    val = _blanked(val[0], told), val[1]
    n_draws = checkpoint.ensemble.n_replicas // len(COPIES)
    n_draws = max(FEWEST_DRAWS, min(MOST_DRAWS, n_draws))
    subsets = [
        whole_groups(ordered, pool.groups, len(pool.rows) // copies)
        for ordered in (grouped_order(pool.groups, generator) for _ in range(n_draws))
        for copies in COPIES
    ]
    sizes = np.array([len(subset) for subset in subsets]).reshape(n_draws, -1).mean(axis=0).round()
    if (np.diff(sizes) <= 0).any():  # the same large groups
        return None
    training = _pack(checkpoint, pool, val, subsets, train)
    training.run(report=report)
    # [n_draws, n_shares, n, n_classes]
    by_draw = training.ensemble.predict_proba(test.features)
    by_draw = by_draw.reshape(n_draws, len(COPIES), *by_draw.shape[1:])
    losses = [row_losses(each.mean(axis=0), test.labels) for each in by_draw.swapaxes(0, 1)]
    points = []
    for size, loss in zip(sizes.tolist(), losses, strict=True):
        mean = Mean.of(loss, test.groups)
        low, high = mean.bounds(confidence)
        points.append(Learned(rows=int(size), log_loss=rounded(mean.value), low=low, high=high))
    gain = _with_draws(Mean.of(losses[-2] - losses[-1], test.groups), by_draw[:, -2:], test.labels)
    low, high = gain.bounds(confidence)
    if low is None or high is None:
        return None
    return LearningCurve(
        points=points,
        gain=rounded(gain.value),
        gain_low=low,
        gain_high=high,
        draws=n_draws,
        of_rows=checkpoint.schema.rows.train,
    )


def _divided(train: Examples, val: Examples) -> tuple[Examples, Rows]:
    """What is drawn from, and what all networks are validated by."""
    if train.folds is None:
        return train, (val.features, val.labels)
    held_out = train.folds == 0
    validating = train.features[held_out], train.labels[held_out]
    return train.take(np.flatnonzero(~held_out)), validating


def _tells(features: Features) -> Truths:
    """Which columns are neither constant nor empty in these rows: bool `[n_features]`."""
    return (features != features[0]).any(axis=0) & ~np.isnan(features).all(axis=0)


def _blanked(features: Features, kept: Truths) -> Features:
    """With 0 in the columns that are not kept; so a network learns nothing of them."""
    return np.where(kept, features, np.float32(0))


def _pack(
    checkpoint: Checkpoint, pool: Examples, val: Rows, subsets: list[Labels], train: TrainParams
) -> Training:
    """A network for each subset of the pool, ready to be trained."""
    schema: Schema = checkpoint.schema
    architecture, recipe = checkpoint.manifest.model, checkpoint.manifest.recipe
    if recipe is None:
        raise InputError("the checkpoint is of an earlier release; run `dvc repro --force train`")
    model = ModelParams(**architecture.model_dump(exclude={"n_bins"}))
    given = train.model_dump() | recipe.model_dump() | {"replicas": len(subsets)}
    whole = prepare(
        model, TrainParams(**given), schema, (pool.features, pool.labels), val, folds=None
    )
    assert isinstance(whole.train, Part), "these rows are in memory"
    n_rows, device = len(pool.rows), whole.train.labels.device
    places = [_repeated(subset, n_rows) for subset in subsets]
    n_own = max(map(len, places))
    filled = np.stack([np.resize(each, n_own) for each in places])
    is_own = np.arange(n_own) < np.array([[len(each)] for each in places])
    part = Part(
        whole.train.inputs.repeat(COPIES[0], 1),
        whole.train.labels.repeat(COPIES[0]),
        torch.from_numpy(filled).to(device),
        torch.from_numpy(is_own).to(device),
    )
    weights = whole.class_weights
    if weights is not None:
        weights = balanced_weights(part.class_counts(len(schema.classes)))
    # one temperature for all shares would be that of none
    return replace(whole, train=part, class_weights=weights, is_calibrated=False)


def _repeated(subset: Labels, n_rows: int) -> Labels:
    """The places of a subset in as many copies of the pool as give about `n_rows` of them."""
    copies = max(1, min(COPIES[0], round(n_rows / len(subset))))
    return (subset + n_rows * np.arange(copies)[:, None]).ravel()


def _with_draws(gain: Mean, by_draw: Floats, labels: Labels) -> Mean:
    """The gain's error with what the draws add: float64 `[n_draws, 2, n, n_classes]`.

    Source of its degrees of freedom: Satterthwaite, An Approximate Distribution of Estimates of
    Variance Components, 1946.
    """
    n_draws = len(by_draw)
    means = [[row_losses(share, labels).mean() for share in draw] for draw in by_draw]
    gains = [half - whole for half, whole in means]
    of_draws = float(np.var(gains, ddof=1)) / n_draws
    total = gain.error**2 + of_draws
    parts = gain.error**4 / gain.degrees_of_freedom + of_draws**2 / (n_draws - 1)
    return gain._replace(
        error=float(np.sqrt(total)), degrees_of_freedom=total**2 / parts if parts else n_draws - 1
    )
