"""Many tests at once.

Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of
Statistics 6, 1979.
"""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float], alpha: float) -> tuple[list[float], list[float]]:
    """Holm's procedure.

    Returns:
        In the order of `p_values`, the corrected ones, and the level at which each was tested, or
        at which testing stopped.
    """
    n_tests = len(p_values)
    order, ranks = np.argsort(p_values, kind="stable"), np.arange(n_tests)
    corrected, levels = np.empty((2, n_tests))
    multiplied = np.array(p_values)[order] * (n_tests - ranks)
    corrected[order] = np.maximum.accumulate(np.minimum(multiplied, 1))
    levels[order] = alpha / (n_tests - np.minimum(ranks, (corrected <= alpha).sum()))
    return corrected.tolist(), levels.tolist()
