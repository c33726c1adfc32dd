"""What texts seem to be that were meant as numbers or times, and how to write them."""

import pyarrow as pa
import pyarrow.compute as pc

MOST = 0.9  # of the different texts
SOME = 0.01
FEW = 5  # texts, of which a common unit tells nothing
MOST_UNITS = 3

PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
NUMBER = r"[+-]?\d[\d.,]*"
UNIT = NUMBER + r"\s*[\p{L}°µ][\p{L}°µ/²³]{0,6}$"
DECIMAL_COMMA = r"^[+-]?(\d*|\d{1,3}(\.\d{3})+),\d+$"
GROUPED = r"^[+-]?[1-9]\d{0,2}(,\d{3})+$"
SURELY_GROUPED = (
    r"^[+-]?[1-9]\d{0,2}"
    r"((,\d{3}){2,}|(,\d{3})+\.\d+|(\.\d{3}){2,}|([ '_\x{a0}\x{2019}\x{202f}]\d{3})+([.,]\d+)?)$"
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
        if _share(found := _matches(texts, pattern)) >= MOST:
            return form.format(_first(texts, found))
    units = pc.replace_substring_regex(texts, rf"^{NUMBER}\s*", "")
    found = _matches(texts, "^" + UNIT)
    if len(texts) >= FEW and _share(found) >= MOST and len(pc.unique(units)) <= MOST_UNITS:
        return f"numbers with a unit, such as {_first(texts, found)}; write the numbers alone"
    plain = _matches(texts, PLAIN)
    surely = _matches(texts, SURELY_GROUPED)
    grouped = pc.or_(surely, _matches(texts, GROUPED))
    decimal = _matches(texts, DECIMAL_COMMA)
    odd = max(decimal, grouped, key=_share)  # of equally many the first
    if _share(odd) < SOME or _share(pc.or_(odd, plain)) < MOST:
        return None
    if pc.any(surely).as_py() and _share(grouped) >= _share(decimal):
        shown = _first(texts, surely)
        return f"numbers with separated thousands, such as {shown}; write them without separators"
    if _share(grouped) == _share(decimal):
        return (
            f"numbers such as {_first(texts, grouped)}, whose comma may stand before decimals or "
            "between thousands; write them with a point, or without a comma"
        )
    return f"numbers with decimal commas, such as {_first(texts, decimal)}; write them with points"


def _matches(texts: pa.Array, pattern: str) -> pa.Array:
    return pc.match_substring_regex(texts, pattern)


def _share(mask: pa.Array) -> float:
    return float(pc.mean(mask).as_py() or 0)


def _first(texts: pa.Array, mask: pa.Array) -> str:
    return repr(texts.filter(mask)[0].as_py()[:40])
