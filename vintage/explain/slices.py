"""Groups of test rows on which the network does worse than overall, by the values of one column.

Of many such slices some do worse by chance. So the p-values are corrected for all of them at once:
what the groups of dependent rows add to a slice's mean gets random signs, and the worst of all
slices is seen each time. Source: Westfall and Young, Resampling-Based Multiple Testing, 1993, the
single-step maxT procedure.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vintage.base.tensors import Examples, Feature
from vintage.explain.bounds import rounded
from vintage.explain.cells import MISSING, cell_text
from vintage.explain.explanation import Slice
from vintage.explain.sampling import grouped_order, some_rows
from vintage.scores.rows import Floats, Truths, row_losses

FEWEST_ROWS = 20
FEWEST_GROUPS = 10
MOST_COLUMNS = 50
MOST_CATEGORIES = 20
MOST_ROWS = 5_000
N_BINS = 4
RESAMPLES = 2_000


class _Candidate(NamedTuple):
    column: str
    values: str
    inside: Truths


def worse_slices(
    test: Examples,
    probabilities: Floats,
    features: Sequence[Feature],
    columns: Sequence[str],
    confidence: float,
    seed: int,
) -> tuple[list[Slice], int]:
    """The slices whose mean log loss is above the overall one beyond chance, and of how many.

    A slice is a category, a quarter of a column's numbers, or its missing cells, of at least
    `FEWEST_ROWS` rows. Rows of one group get one sign.

    Args:
        probabilities: float64 `[n, n_classes]`.
        columns: by importance; the first ones are searched.
    """
    generator = np.random.default_rng(seed)
    ordered = grouped_order(test.groups, generator)
    places = np.sort(some_rows(ordered, test.groups, MOST_ROWS))
    labels, scored = test.labels[places], probabilities[places]
    losses = row_losses(scored, labels)
    right = scored.argmax(axis=1) == labels
    _, members = np.unique(test.groups[places], return_inverse=True)
    by_name = {feature.name: index for index, feature in enumerate(features)}
    candidates = [
        candidate
        for column in columns[:MOST_COLUMNS]
        for candidate in _slices_of(
            test.features[places, by_name[column]], features[by_name[column]]
        )
        if candidate.inside.sum() >= FEWEST_ROWS
        and len(np.unique(members[candidate.inside])) >= FEWEST_GROUPS
        and not candidate.inside.all()
    ]
    if not candidates:
        return [], 0
    p_values = _corrected(
        losses, members, np.stack([candidate.inside for candidate in candidates]), generator
    )
    found = [
        Slice(
            column=column,
            values=values,
            rows=int(inside.sum()),
            log_loss=rounded(losses[inside].mean()),
            accuracy=rounded(right[inside].mean()),
            p_value=rounded(p_value),
        )
        for (column, values, inside), p_value in zip(candidates, p_values, strict=True)
        if p_value <= round(1 - confidence, 12)
    ]
    return sorted(found, key=lambda each: -each.log_loss), len(candidates)


def _corrected(
    losses: Floats, members: np.ndarray, inside: Truths, generator: np.random.Generator
) -> Floats:
    """The one-sided p-value of each slice, corrected for all; float64 `[n_slices]`.

    Args:
        losses: float64 `[n]`.
        members: int64 `[n]`, each row's group from 0.
        inside: bool `[n_slices, n]`.
    """
    weights = inside.astype(np.float64)
    shares = weights / weights.sum(axis=1, keepdims=True) - 1 / len(losses)
    by_row = shares * (losses - losses.mean())
    # what each group adds to a slice's mean loss above the overall one
    parts: Floats = np.stack([np.bincount(members, weights=each) for each in by_row])
    spreads = np.sqrt((parts**2).sum(axis=1, keepdims=True))
    parts = parts / np.where(spreads > 0, spreads, 1)
    # an error of the last bits must not decide between random signs and what was observed
    observed = parts.sum(axis=1).round(9)
    signs = generator.integers(0, 2, (RESAMPLES, parts.shape[1])) * 2 - 1
    worst = (signs @ parts.T).max(axis=1).round(9)
    at_least = (worst[None] >= observed[:, None]).sum(axis=1)
    return (1 + at_least) / (1 + RESAMPLES)


def _slices_of(cells: np.ndarray, feature: Feature) -> Iterator[_Candidate]:
    """Categories, the most frequent ones first, or ranges between quartiles; missing cells."""
    name = feature.name
    if feature.categories is not None:
        codes, counts = np.unique(cells, return_counts=True)
        for code in codes[np.argsort(-counts, kind="stable")][:MOST_CATEGORIES]:
            yield _Candidate(name, cell_text(code, feature), cells == code)
        return
    missing = np.isnan(cells)
    if missing.any():
        yield _Candidate(name, MISSING, missing)
    if missing.all():
        return
    quartiles = np.arange(1, N_BINS) / N_BINS
    edges = np.unique(np.quantile(cells[~missing], quartiles, method="lower"))
    edges = edges[edges < cells[~missing].max()]
    texts = [cell_text(edge, feature) for edge in edges]
    bins = np.searchsorted(edges, cells)
    for index in range(len(edges) + 1):
        bounds = [f"above {texts[index - 1]}"] if index else []
        bounds += [f"up to {texts[index]}"] if index < len(edges) else []
        if bounds:
            yield _Candidate(name, ", ".join(bounds), (bins == index) & ~missing)
