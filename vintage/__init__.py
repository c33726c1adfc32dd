"""What the pipeline's stages and commands are made of; each folder says what belongs in it.

For other programs: `vintage.load("data/checkpoint").predict(frame)`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    from vintage.predict.estimator import Classifier


def load(model: "str | PathLike[str]" = "data/checkpoint") -> "Classifier":
    """A trained model as a classifier of scikit-learn's kind.

    Args:
        model: a checkpoint's folder, or a Git revision.

    Raises:
        vintage.base.console.InputError: it does not exist, or is cut or foreign.
    """
    from vintage.predict.estimator import Classifier

    return Classifier(model)
