"""The log loss of the settings that were tried, by each parameter in which they differ."""

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from vintage.base.console import InputError
from vintage.base.files import write_bytes
from vintage.report.figures import MARK, TRAIN, VAL, as_svg, new_figure
from vintage.repository.revisions import shown
from vintage.repository.sweep_table import Ranking, Tried

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL, HEIGHT = 3.2, 3.4  # inches
KINDS = {"best": (VAL, "D", 3), "ties": (TRAIN, "o", 2), "worse": (MARK, "x", 1)}
AUTO = re.compile(r"auto \((.*)\)")


def draw_slices(path: Path, ranking: Ranking) -> None:
    """Write SVG: a panel for each parameter, and in it a mark for each setting.

    Raises:
        InputError: there is no such parameter.
    """
    keys = ranking.varied()
    if not keys:
        raise InputError("the settings differ in nothing to draw")
    figure, axes = new_figure(PANEL * max(2, len(keys)), HEIGHT)
    axes.remove()
    panels = figure.subplots(1, len(keys), sharey=True, squeeze=False)[0]
    for key, panel in zip(keys, panels, strict=True):
        panel.set_facecolor("none")
        _draw(panel, key, ranking)
    panels[0].set_ylabel("Log loss")
    panels[0].legend(frameon=False)
    write_bytes(path, as_svg(figure))


def _draw(panel: "Axes", key: str, ranking: Ranking) -> None:
    values = [_number(each, key) for each in ranking.tried]
    numbers = [value for value in values if value is not None]
    if len(numbers) == len(values):
        low, high = min(numbers), max(numbers)
        if low > 0 and high >= 10 * low:
            panel.set_xscale("log")
            ticks = [low, math.sqrt(low * high), high]
            panel.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
            panel.minorticks_off()
    else:
        names = list(dict.fromkeys(shown(each.params.get(key)) for each in ranking.tried))
        numbers = [float(names.index(shown(each.params.get(key)))) for each in ranking.tried]
        panel.set_xticks(range(len(names)), names, rotation=30)
        panel.margins(x=0.2)
    for kind, (color, marker, order) in KINDS.items():
        places = [place for place in range(len(numbers)) if ranking.verdict(place) == kind]
        losses = [ranking.tried[place].log_loss for place in places]
        at = [numbers[place] for place in places]
        panel.scatter(at, losses, color=color, marker=marker, zorder=order, label=kind)
    panel.set_xlabel(key.partition(".")[2])


def _number(tried: Tried, key: str) -> float | None:
    """What a parameter is or stands for, if that is a number."""
    value = tried.params.get(key)
    if isinstance(value, str) and (match := AUTO.fullmatch(value)):
        try:
            value = json.loads(match[1])
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
