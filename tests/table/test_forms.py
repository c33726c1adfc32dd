"""What is said of text that was meant as numbers or times."""

import pyarrow as pa
import pytest

from vintage.table.forms import form_of

FORMS: dict[str, tuple[list[str], str | None]] = {
    "German dates": (["31.12.2024", "1.2.2024", "05.06.24"], "dates such as '31.12.2024'; write"),
    "American dates": (["12/31/2024", "1/2/2024 10:30 AM"], "dates such as '12/31/2024'; write"),
    "dates with slashes": (["2024/12/31", "2024/1/2"], "dates such as '2024/12/31'"),
    "months by name": (["31 Dec 2024", "Jan 2, 2024", "3-Mar-24"], "dates such as '31 Dec 2024'"),
    "percentages": (["12%", "3.5 %", "-1,5%"], "percentages such as '12%'; write them without the"),
    "currency before": (["$12", "$1,200.50", "-$3"], "numbers with a currency sign, such as '$12'"),
    "currency behind": (["12 €", "1.200,50€"], "numbers with a currency sign, such as '12 €'"),
    "a unit": ([f"{i} kg" for i in range(9)], "numbers with a unit, such as '0 kg'; write"),
    "a few units": ([f"{i}.5{'km' if i % 2 else 'm'}" for i in range(9)], "numbers with a unit"),
    "decimal commas": (["1,5", "0,25", "3"], "numbers with decimal commas or separated thousands"),
    "decimal commas and points": (["1.234,5", "2,5"], "such as '1.234,5'; write them with a decim"),
    "a zero before the comma": (["0,123", "1,234"], "such as '0,123'; write them with a decimal"),
    "thousands": (["1,234", "12,345,678", "5"], "numbers with decimal commas or separated thousan"),
    "thousands and cents": (["1,234.50", "1,234"], "separated thousands, such as '1,234.50'"),
    "thousands with spaces": (["1 234", "12 345,6"], "separated thousands, such as '1 234'"),
    "thousands with points": (["1.234.567", "2.345.678"], "separated thousands"),
    "a few thousands": ([*map(str, range(50)), "1,234", "2,345"], "thousands, such as '1,234'"),
    "words": (["red", "green"], None),
    "codes": ([f"{i}{'ABCDEFGH'[i]}" for i in range(8)], None),
    "two sizes": (["10mm", "20mm"], None),
    "versions": (["1.2.3", "1.2.4", "2.0.1"], None),
    "addresses": (["10.0.0.1", "10.0.0.2"], None),
    "plain numbers": (["1", "2.5", "low"], None),
    "one slip": ([*map(str, range(200)), "1,5"], None),
    "ordinals": (["1st", "2nd", "3rd", "4th", "5th", "6th"], None),
    "telephone numbers": (["030-123456", "089-654321"], None),
    "nothing": ([], None),
}


@pytest.mark.parametrize("case", FORMS)
def test_the_form_of_texts(case: str) -> None:
    texts, expected = FORMS[case]
    found = form_of(pa.array(texts, pa.string()))
    assert found is None if expected is None else expected in str(found), found
