"""`vintage score`: how good a model is on labelled rows that came later, and what has changed."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from vintage.base.console import InputError, one_line
from vintage.base.tensors import (
    Examples,
    Features,
    Integers,
    PartFile,
    Schema,
    digest_of,
    read_parts,
    read_schema,
)
from vintage.network.checkpoint import Checkpoint
from vintage.predict.model import check_columns, encode, listed
from vintage.predict.shift import ScoreChange, score_changes
from vintage.report.tables import aligned, p_text, score_cells, wrapped
from vintage.scores.drift import Drift, category_drift, feature_drift
from vintage.scores.evaluation import scores_with_bounds
from vintage.scores.holm import holm
from vintage.scores.metrics import METRICS
from vintage.scores.rows import Sample
from vintage.table.batches import gathered
from vintage.table.cells import Place, is_missing, with_nulls
from vintage.table.identity import equal_rows, row_hashes
from vintage.table.kinds import kind_of
from vintage.table.read import column_hint, open_table
from vintage.table.target import PARTS, find_classes

TENSORS = Path("data/tensors")
CHUNK_ROWS = 1 << 16


class Labelled(NamedTuple):
    """Rows whose class is known, and how many others there are.

    Attributes:
        features: float32 `[n, n_features]`.
        labels: int64 `[n]`, places in the schema's classes.
        left_out: by reason.
    """

    features: Features
    labels: Integers
    left_out: dict[str, int]


def score_lines(
    network: Checkpoint, source: str, delimiter: str, confidence: float
) -> Iterator[str]:
    """The scores on the rows of a table beside the test scores, and the columns that drifted.

    Rows that the model's own table has, too, are left out: it has seen them, or was tested on them.

    Raises:
        InputError: the table cannot be read, has no target, or no row that is new.
    """
    schema = network.schema
    files = _own_files(network)
    labelled = _read(network, source, delimiter)
    new = _without_known(labelled, files)
    if not len(new.labels):
        raise InputError(f"{source}: no labelled row is new: {_left_out(new.left_out)}")
    predicted = network.predict_proba(new.features).mean(axis=0)
    sample = Sample.of(new.labels, predicted, equal_rows(new.features.T))
    scores = scores_with_bounds(sample, confidence)
    left_out = f" (left out: {_left_out(new.left_out)})" if any(new.left_out.values()) else ""
    yield from wrapped(f"{one_line(source)}: {len(new.labels)} new labelled rows{left_out}")
    yield ""
    if not files:
        header = ("", "new", "interval")
        yield from aligned(header, [score_cells(scores, name) for name in METRICS])
        yield from ("", *wrapped(f"{TENSORS} is not of this model, so nothing is compared"))
        return
    own, _ = read_parts(TENSORS, schema)
    test = own["test"]
    tested = network.predict_proba(test.features).mean(axis=0)
    test_sample = Sample.of(test.labels, tested, test.groups)
    of_test = scores_with_bounds(test_sample, confidence)
    changes = score_changes(test_sample, sample)
    known = {name: each.p_value for name, each in changes.items() if each.p_value is not None}
    p_values = _corrected(known, confidence)
    columns = ("", "test", "interval", "new", "interval", "p", "verdict")
    cells = []
    for name in METRICS:
        shown = [*score_cells(of_test, name), *score_cells(scores, name)[1:]]
        p_value = p_values.get(name)
        verdict = _verdict(name, changes.get(name), p_value, confidence)
        cells.append([*shown, p_text(p_value), verdict])
    yield from aligned(columns, cells)
    yield ""
    if len(new.labels) < len(labelled.labels) / 2:
        yield from wrapped(
            "more than half of the rows are left out; if they only look like rows of the model's "
            "table, those that are scored are the unusual ones"
        )
    yield from _drift_lines(schema, own, labelled, confidence)


def _verdict(
    name: str, change: ScoreChange | None, p_value: float | None, confidence: float
) -> str:
    if change is None or p_value is None:
        return "-"
    if p_value > 1 - confidence:
        return "no difference"
    is_better = (change.difference < 0) == METRICS[name].lower_is_better
    return "better" if is_better else "worse"


def _drift_lines(
    schema: Schema, own: dict[str, Examples], new: Labelled, confidence: float
) -> Iterator[str]:
    """Which columns have drifted, the target among them."""
    before = np.concatenate([part.features for part in own.values()])
    labels = np.concatenate([part.labels for part in own.values()])
    found: dict[str, Drift] = {}
    for index, feature in enumerate(schema.features):
        found[feature.name] = feature_drift(feature, before[:, index], new.features[:, index])
    target = f"{schema.target} (the target)"
    found[target] = category_drift(labels, new.labels)
    p_values = _corrected({name: drift.p_value for name, drift in found.items()}, confidence)
    drifted = sorted(
        (name for name in found if p_values[name] <= 1 - confidence),
        key=lambda name: -found[name].distance,
    )
    if not drifted:
        yield f"no column has drifted, of {len(found)} that were tested"
        return
    yield f"{len(drifted)} of {len(found)} columns have drifted:"
    found_rows = [
        (one_line(n)[:40], f"{found[n].distance:.2f}", p_text(p_values[n])) for n in drifted
    ]
    yield from aligned(("", "distance", "p"), found_rows)


def _corrected(p_values: Mapping[str, float], confidence: float) -> dict[str, float]:
    """By Holm's procedure."""
    found, _ = holm(list(p_values.values()), round(1 - confidence, 12))
    return dict(zip(p_values, found, strict=True))


def _own_files(network: Checkpoint) -> list[PartFile]:
    """The rows of the table that the model was made of; empty if they are not here."""
    path = TENSORS / "schema.json"
    if not path.exists() or read_schema(path) != network.schema:
        return []
    files = [PartFile(TENSORS / f"{name}.safetensors", network.schema) for name in PARTS]
    learned = [file for file in files if file.path.stem != "test"]
    return files if network.manifest.learned_rows == digest_of(*learned) else []


def _read(network: Checkpoint, source: str, delimiter: str) -> Labelled:
    schema = network.schema
    names = schema.feature_names
    numbers = {feature.name for feature in schema.features if not kind_of(feature).is_text}
    with open_table(source, delimiter, schema.missing) as table:
        check_columns(table.path, table.names, schema)
        if schema.target not in table.names:
            hint = column_hint(table.names, "--delimiter")
            raise InputError(f"{table.path}: has no {listed([schema.target])}, the target; {hint}")
        features, targets, first = [], [], 0
        for rows in gathered(table.batches([*names, schema.target], numbers), CHUNK_ROWS):
            features.append(encode(table.path, rows, schema, first))
            targets.append(rows.select([schema.target]))
            first += rows.num_rows
        if not first:
            raise InputError(f"{table.path}: has a header but no rows")
    # of text, a part may be binary, because it is not UTF-8; then all is
    cells = pa.concat_tables(targets, promote_options="permissive")[schema.target]
    target = with_nulls(cells, schema.missing)
    is_labelled = ~is_missing(target)
    place = Place(str(table.path), np.flatnonzero(is_labelled), schema.target, is_new=True)
    labels = find_classes(target.filter(pa.array(is_labelled)), schema.classes, place)
    is_known = labels >= 0
    left_out = {
        "without a class": int((~is_labelled).sum()),
        "of a class that the model does not know": int((~is_known).sum()),
    }
    return Labelled(np.concatenate(features)[is_labelled][is_known], labels[is_known], left_out)


def _without_known(new: Labelled, files: Sequence[PartFile]) -> Labelled:
    """Without the rows whose features a row of the model's own table has."""
    if not files:
        return new
    hashes = row_hashes(new.features.T)
    is_new = np.ones(len(hashes), dtype=np.bool_)
    for block in itertools.chain.from_iterable(file.blocks() for file in files):
        is_new &= ~np.isin(hashes, row_hashes(block.features.T))
    left_out = new.left_out | {"with a twin in the model's own table": int((~is_new).sum())}
    return Labelled(new.features[is_new], new.labels[is_new], left_out)


def _left_out(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.items() if count) or "none"
