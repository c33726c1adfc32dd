"""Cells of the table as text, from the numbers that the network is given."""

import datetime

import numpy as np

from vintage.base.tensors import Feature

EPOCH = datetime.datetime(2000, 1, 1)  # of the kind `datetime`, which counts days
MISSING = "missing"
UNKNOWN = "a category of no train row"


def cell_text(value: float, feature: Feature) -> str:
    """A cell as it can be told from its number: of 32 bits, so with up to nine digits.

    Of a kind that is not known here, the number is what the network is given, and is called so.

    Args:
        value: as the tensor files hold it, see `vintage.base.tensors.Feature`.
    """
    if feature.categories is not None:
        names = [*feature.categories, *([MISSING] if feature.missing else []), UNKNOWN]
        return names[int(value)]
    if np.isnan(value):
        return MISSING
    if feature.kind == "datetime":
        return _time(float(value) + feature.offset)
    number = f"{float(value) + feature.offset:.15g}" if feature.offset else _number(value)
    return number if feature.kind == "numeric" else f"{feature.kind} {number}"


def _number(value: float) -> str:
    """The fewest digits that mean this 32-bit number."""
    number = np.float32(value)
    text = np.format_float_positional(number, trim="-")
    return text if len(text) <= 12 else np.format_float_scientific(number, trim="-")


def _time(days: float) -> str:
    try:
        moment = EPOCH + datetime.timedelta(days=round(days * 24) / 24)
    except OverflowError:
        return f"{days:.6g} days after {EPOCH:%Y-%m-%d}"
    # not by strftime, which may leave out the zeros of the year 0001
    if moment.time() == datetime.time():
        return moment.date().isoformat()
    return moment.isoformat(" ", "minutes")
