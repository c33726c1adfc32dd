"""The scores as a short table for a terminal."""

from collections.abc import Iterator

from vintage.evaluation import Evaluation

FIGURES = ("losses", "confusion", "calibration")
NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1_macro": "macro F1",
    "log_loss": "log loss",
    "roc_auc_ovr": "ROC AUC (one vs rest)",
    "calibration_error": "calibration error",
}


def score_lines(evaluation: Evaluation) -> Iterator[str]:
    """Lines with each test score, its interval, and train and validation beside it."""
    yield f"{'':22}{'test':>8}   {'interval':^17}  {'train':>8}{'val':>8}"
    for key, name in NAMES.items():
        test = evaluation.test
        bounds = f"{_shown(test[f'{key}_low'])} to {_shown(test[f'{key}_high'])}"
        yield (
            f"{name:22}{_shown(test[key]):>8}   {bounds:^17}  "
            f"{_shown(evaluation.train[key]):>8}{_shown(evaluation.val[key]):>8}"
        )
    yield "figures: " + "  ".join(f"metrics/figures/{name}.png" for name in FIGURES)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
