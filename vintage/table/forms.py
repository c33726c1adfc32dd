"""What texts seem to be that were meant as numbers or times, and how to write them."""

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.compute import match_substring_regex as matches

MOST = 0.9  # of the different texts
SOME = 0.01
FEW = 5  # texts, of which a common unit tells nothing
MOST_UNITS = 3

PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
NUMBER = r"[+-]?\d[\d.,]*"
UNIT = rf"^{NUMBER}\s*[\p{{L}}°µ][\p{{L}}°µ/²³]{{0,6}}$"
WITH_COMMA = r"^[+-]?(\d*|\d{1,3}(\.\d{3})+),\d+$"
WITH_THOUSANDS = (
    r"^[+-]?[1-9]\d{0,2}"
    r"((,\d{3})+(\.\d+)?|(\.\d{3}){2,}|([ '_\x{a0}\x{2019}\x{202f}]\d{3})+([.,]\d+)?)$"
)
FORMS = {
    r"^(\d{1,2}[./-]\d{1,2}[./-](\d{4}|\d{2})|\d{4}[./]\d{1,2}[./]\d{1,2}"
    r"|\d{1,2}[. -]+[A-Za-z]{3,9}[., -]+\d{2,4}|[A-Za-z]{3,9} \d{1,2},? \d{4})([ ,T]+\d.*)?$": (
        "dates such as {}; write them in ISO 8601, such as 2024-12-31"
    ),
    rf"^{NUMBER}\s*%$": "percentages such as {}; write them without the sign",
    rf"^([+-]?[$€£¥]\s*{NUMBER}|{NUMBER}\s*[$€£¥])$": (
        "numbers with a currency sign, such as {}; write the numbers alone"
    ),
}


def form_of(texts: pa.Array) -> str | None:
    """What different texts seem to be, and how to write them; None if they are only text.

    Args:
        texts: string, without white space around and without nulls.
    """
    for pattern, form in FORMS.items():
        if _share(found := matches(texts, pattern)) >= MOST:
            return form.format(_first(texts, found))
    units = pc.replace_substring_regex(texts, rf"^{NUMBER}\s*", "")
    found = matches(texts, UNIT)
    if len(texts) >= FEW and _share(found) >= MOST and len(pc.unique(units)) <= MOST_UNITS:
        return f"numbers with a unit, such as {_first(texts, found)}; write the numbers alone"
    odd = pc.or_(matches(texts, WITH_COMMA), matches(texts, WITH_THOUSANDS))
    if _share(odd) < SOME or _share(pc.or_(odd, matches(texts, PLAIN))) < MOST:
        return None
    return (
        f"numbers with decimal commas or separated thousands, such as {_first(texts, odd)}; write "
        "them with a decimal point and without separators"
    )


def _share(mask: pa.Array) -> float:
    return float(pc.mean(mask).as_py() or 0)


def _first(texts: pa.Array, mask: pa.Array) -> str:
    return repr(texts.filter(mask)[0].as_py()[:40])
