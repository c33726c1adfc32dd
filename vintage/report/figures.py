"""Figures as SVG: the same bytes whatever the user's settings, fonts and terminal are.

`FIGURES` lists them; the stage `evaluate` draws all of them, and the report shows them. Their text
stays text, in the reader's own fonts, and their colours follow the reader's light or dark scheme.
"""

import io
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from vintage.base.files import write_bytes
from vintage.base.losses import LossRecord
from vintage.scores.evaluation import best_epoch
from vintage.scores.metrics import N_BINS, confidence_bins
from vintage.scores.predictions import Predictions

if TYPE_CHECKING:  # matplotlib takes half a second, and a list of the figures does not need it
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

LONGEST_NAME = 16
MAX_NUMBERED_CLASSES = 20
INK, PAPER, MARK, TRAIN, VAL, CELL = (
    "#1f2328", "#ffffff", "#59636e", "#0969da", "#bc4c00", "#4c8dd6"
)  # fmt: skip
DARK = {INK: "#e6edf3", PAPER: "#0d1117", MARK: "#9198a1", TRAIN: "#58a6ff", VAL: "#f0883e"}
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


class Drawn(NamedTuple):
    """What figures are drawn of: the records of `losses.json`, the test rows with their
    predictions, and the name of the predicted column.
    """

    losses: Sequence[LossRecord]
    test: Predictions
    target: str


def write_figures(folder: Path, drawn: Drawn) -> None:
    """Draw each figure of `FIGURES` into `folder`."""
    for name, figure in FIGURES.items():
        write_bytes(folder / name, as_svg(figure.draw(drawn)))


def training_curves(drawn: Drawn) -> "Figure":
    """Train and validation loss by epoch.

    The band is one standard deviation of the replicas; the line marks the best epoch.
    """
    figure, axes = new_figure(6.4, 4)
    epochs = [record.epoch for record in drawn.losses]
    for name, label, color in (("train", "train", TRAIN), ("val", "validation", VAL)):
        losses, spread = (
            np.array([getattr(r, f"{name}_{column}") for r in drawn.losses], dtype=np.float64)
            for column in ("loss", "loss_std")
        )
        if np.isnan(losses).all():
            continue
        axes.plot(epochs, losses, label=label, color=color)
        axes.fill_between(epochs, losses - spread, losses + spread, color=color, alpha=0.2, lw=0)
    if (best := best_epoch(drawn.losses)) is not None:
        axes.axvline(best, color=MARK, ls="--", lw=1, label=f"best epoch {best}")
    axes.set(xlabel="Epoch", ylabel="Loss", title="Cross entropy by epoch")
    axes.legend(frameon=False)
    return figure


def confusion_matrix(drawn: Drawn) -> "Figure":
    """Counts of actual (rows) against predicted (columns) class, the darker the more of the row."""
    n_classes, counts = len(drawn.test.classes), drawn.test.confusion()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(12.0, max(4.0, 2.2 + 0.55 * n_classes))
    figure, axes = new_figure(side, side)
    axes.imshow(shares, cmap=_from_clear_to(CELL), vmin=0, vmax=1, interpolation="none")
    if n_classes <= MAX_NUMBERED_CLASSES:
        for (row, column), count in np.ndenumerate(counts):
            axes.text(column, row, f"{count}", ha="center", va="center")
    names = [_short(name) for name in drawn.test.classes]
    rotation = 90 if max(map(len, names)) > 4 or n_classes > MAX_NUMBERED_CLASSES else 0
    axes.set_xticks(range(n_classes), names, rotation=rotation)
    axes.set_yticks(range(n_classes), names)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="Predicted", ylabel="Actual", title=f"Test rows by {_short(drawn.target)}")
    return figure


def reliability_diagram(drawn: Drawn) -> "Figure":
    """Accuracy against confidence in ten bins; on the diagonal a probability means what it says."""
    confidence = drawn.test.probabilities.max(axis=1)
    correct = drawn.test.probabilities.argmax(axis=1) == drawn.test.labels
    bins = confidence_bins(confidence)
    counts = np.bincount(bins, minlength=N_BINS)
    seen = counts > 0
    mean_confidence = np.bincount(bins, confidence, N_BINS)[seen] / counts[seen]
    mean_accuracy = np.bincount(bins, correct, N_BINS)[seen] / counts[seen]
    figure, axes = new_figure(4.8, 4.4)
    axes.plot([0, 1], [0, 1], color=MARK, ls="--", lw=1, label="calibrated")
    sizes: npt.NDArray[np.float64] = 20 + 380 * counts[seen] / counts.sum()
    axes.scatter(
        mean_confidence,
        mean_accuracy,
        s=sizes,
        color=TRAIN,
        label="test rows",
        zorder=2,
        clip_on=False,
    )
    for x, y, count in zip(mean_confidence, mean_accuracy, counts[seen], strict=True):
        axes.annotate(f"{count}", (x, y), xytext=(9, -9), textcoords="offset points", fontsize=8)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="Confidence", ylabel="Accuracy")
    axes.set_title("Calibration; a dot's number is its rows")
    axes.legend(frameon=False, loc="upper left", markerscale=0.5)
    return figure


class FigureEntry(NamedTuple):
    """A figure: what draws it, its caption, and the report's section that shows it."""

    draw: Callable[[Drawn], "Figure"]
    caption: str
    section: str = "More figures"


FIGURES = {  # by file
    "losses.svg": FigureEntry(training_curves, "Loss by epoch", "Why"),
    "confusion.svg": FigureEntry(confusion_matrix, "Confusion matrix", "Where it fails"),
    "calibration.svg": FigureEntry(reliability_diagram, "Accuracy by confidence", "How sure"),
}


def new_figure(width: float, height: float) -> tuple["Figure", "Axes"]:
    """An empty figure of `width` x `height` inches, with matplotlib's own defaults and fonts."""
    import matplotlib as mpl
    import matplotlib.font_manager as fonts
    from matplotlib.figure import Figure

    mpl.rcdefaults()
    mpl.rcParams.update({"text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK})
    mpl.rcParams.update({"xtick.color": INK, "ytick.color": INK})
    mpl.rcParams.update({"text.parse_math": False, "axes.spines.top": False})
    mpl.rcParams.update({"axes.spines.right": False, "axes.titlesize": 11})
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "vintage"})
    bundled = str(Path(mpl.get_data_path()) / "fonts")
    manager = fonts.fontManager
    manager.ttflist = [font for font in manager.ttflist if font.fname.startswith(bundled)]
    figure = Figure(figsize=(width, height), facecolor=PAPER, layout="compressed")
    axes = figure.add_subplot()
    axes.set_facecolor("none")
    return figure, axes


def _from_clear_to(color: str) -> "Colormap":
    """From transparent, so that what lies behind shows, to `color`."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    return LinearSegmentedColormap.from_list("", [to_rgba(color, 0), to_rgba(color, 1)])


def as_svg(figure: "Figure") -> bytes:
    """The figure as SVG, without date or program version, in colours that follow the reader's."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name in a script the font lacks
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    drawing = re.sub(r"^.*?(?=<svg )", "", buffer.getvalue(), count=1, flags=re.DOTALL)
    head, mark, body = drawing.partition(">")
    for number, color in enumerate(DARK):
        body = re.sub(rf"(fill|stroke): {color}", rf"\1: var(--c{number})", body)
    light, dark = (
        "".join(f"--c{number}:{color};" for number, color in enumerate(colors))
        for colors in (DARK, DARK.values())
    )
    style = (
        f"<style>svg{{{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}"
        f"text{{font-family:{FONTS}!important}}</style>"
    )
    return f"{head}{mark}{style}{body}".encode()


def _short(name: str) -> str:
    """`name` on one line and cut to what fits an axis."""
    printable = "".join(c if c.isprintable() else " " for c in name)
    return printable if len(printable) <= LONGEST_NAME else printable[: LONGEST_NAME - 1] + "…"
