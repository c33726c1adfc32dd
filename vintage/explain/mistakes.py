"""The test rows that the network was surest about, and wrong."""

from collections.abc import Sequence

import numpy as np

from vintage.base.tensors import Examples, Feature
from vintage.explain.bounds import rounded
from vintage.explain.cells import cell_text
from vintage.explain.explanation import Mistake
from vintage.scores.rows import Floats

MOST = 10
SHOWN_COLUMNS = 5


def worst_mistakes(
    test: Examples,
    probabilities: Floats,
    classes: Sequence[str],
    features: Sequence[Feature],
    columns: Sequence[str],
) -> list[Mistake]:
    """The wrong rows whose actual class got the least probability; of each group, one.

    Args:
        probabilities: float64 `[n, n_classes]`.
        columns: by importance; the cells of the first ones are shown.
    """
    n_rows = np.arange(len(test.labels))
    predicted = probabilities.argmax(axis=1)
    actual = probabilities[n_rows, test.labels]
    order = np.lexsort((test.rows, actual.round(12)))
    wrong = order[predicted[order] != test.labels[order]]
    _, first = np.unique(test.groups[wrong], return_index=True)
    places = {feature.name: index for index, feature in enumerate(features)}
    shown = [places[column] for column in columns[:SHOWN_COLUMNS]]
    return [
        Mistake(
            row=int(test.rows[place]),
            actual=classes[test.labels[place]],
            predicted=classes[predicted[place]],
            probability_of_actual=rounded(actual[place]),
            probability_of_predicted=rounded(probabilities[place].max()),
            cells={
                features[column].name: cell_text(test.features[place, column], features[column])
                for column in shown
            },
        )
        for place in wrong[np.sort(first)][:MOST].tolist()
    ]
