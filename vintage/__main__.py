"""Commands for people, beside `dvc repro`.        python -m vintage --help

A command is a function here, whose docstring is its help, and a module that does the work. NumPy
and PyTorch are imported after `numerics.pin`, see there.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from vintage.base import console, numerics
from vintage.base.waiting import waiting
from vintage.predict.locate import CHECKPOINT, located

if TYPE_CHECKING:
    from vintage.network.checkpoint import Checkpoint

MODEL = f"a checkpoint's folder or a Git revision; {CHECKPOINT}"
REVISION = "Git revision, branch, tag, DVC experiment, or `workspace`"


def init(arguments: argparse.Namespace) -> int:
    """Ask what a table's columns are for, write params.yaml, and run the pipeline."""
    from vintage.repository.init import init

    init(Path(), arguments.table, arguments.yes)
    if arguments.no_run:
        return 0
    code = subprocess.run([sys.executable, "-m", "dvc", "repro"], check=False).returncode
    return code or show(argparse.Namespace(revision="workspace"))


def show(arguments: argparse.Namespace) -> int:
    """Print the verdict, the scores with their intervals, and where the report is."""
    with waiting("reading"):
        from vintage.repository.show_revision import revision_lines

        lines = list(revision_lines(arguments.revision))
    return _print(lines)


def check(_: argparse.Namespace) -> int:
    """Check the outputs of the pipeline and judge the result; exit code 1 if an output is wrong."""
    lines: list[str] = []
    with waiting("checking"):
        numerics.pin()
        from vintage.base.params import load_params
        from vintage.report.tables import wrapped
        from vintage.repository.check import check, check_result
        from vintage.scores.evaluation import check_required

        params = load_params()
        check_required(params.evaluate.require)
        problems = list(dict.fromkeys(check(Path(), params)))
        try:
            for found in check_result(Path()):
                lines += wrapped(f"{found.code} {found.outcome}: {found.sentence} {found.page}")
        except console.InputError as error:
            problems += [] if str(error) in problems else [str(error)]
    lines += [f"wrong: {console.one_line(problem)}" for problem in problems]
    _print(lines)
    console.say(f"problems found: {len(problems)}" if problems else "the outputs are valid")
    return 1 if problems else 0


def mend(_: argparse.Namespace) -> int:
    """Repair DVC's own files after a crash or a full disk."""
    from vintage.repository.mend import mend

    with waiting("mending"):
        lines = list(mend(Path()))
    return _print(lines)


def pull(_: argparse.Namespace) -> int:
    """Take from the DVC remote what it has of the outputs, as `make repro` does."""
    from vintage.repository.remote import pull

    with waiting("pulling"):
        said = pull(Path())
    console.say(said)
    return 0


def stale(_: argparse.Namespace) -> int:
    """Name the stages whose inputs are not those in dvc.lock."""
    from vintage.repository.status import stale_stages

    with waiting("hashing"):
        stages = stale_stages(Path())
    console.say(", ".join(stages) or "none")
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Run the stages again in a temporary clone, and compare with dvc.lock and Git."""
    from vintage.repository.verify import control, verify

    revision, stage, receipt = arguments.revision, arguments.stage, arguments.receipt
    if receipt and arguments.control:
        raise console.InputError("--receipt and --control exclude each other")
    try:
        return control(revision, stage) if arguments.control else verify(revision, stage, receipt)
    except (OSError, MemoryError) as error:  # exit code 1 says that an output differs
        raise console.InputError(str(error) or "not enough memory") from None


def compare(arguments: argparse.Namespace) -> int:
    """Compare B, or several, with A, metric by metric: the models, and what made them."""
    with waiting("comparing"):
        numerics.pin()
        from vintage.repository.compare import compare_revisions
        from vintage.repository.looks import count_each
        from vintage.repository.revisions import PREDICTIONS_PATH, read_revision
        from vintage.repository.show_comparison import FORMATS

        try:
            first, *others = (read_revision(name) for name in (arguments.a, *arguments.b))
            n_models = count_each((b.model.predictions for b in others), PREDICTIONS_PATH)
            comparisons = compare_revisions(first, others, n_models)
        except (OSError, MemoryError) as error:  # exit code 1 says that B is worse, no more
            raise console.InputError(str(error) or "not enough memory") from None
    _print(FORMATS[arguments.format](comparisons))
    found = [both for each in comparisons for both in (each.metrics, each.recipe.metrics)]
    is_worse = any(metric.verdict == "worse" for of_each in found for metric in of_each.values())
    return int(arguments.fail_if_worse and is_worse)


def sweep(arguments: argparse.Namespace) -> int:
    """Train settings together, each as a DVC experiment, and compare them."""
    if arguments.show == bool(arguments.settings):
        raise console.InputError(
            "write parameters with their values, such as train.learning_rate=0.003,0.01; or --show"
        )
    if arguments.show and (arguments.trials is not None or arguments.ray):
        raise console.InputError("--show trains nothing; leave --trials and --ray out")
    if arguments.figure and arguments.figure.suffix != ".svg":
        raise console.InputError(
            f"{arguments.figure}: a figure is SVG; write a name that ends in .svg"
        )
    numerics.pin()
    from vintage.repository.sweep import sweep
    from vintage.repository.sweep_table import rank, table_lines

    if arguments.settings:
        sweep(Path(), arguments.settings, arguments.trials, arguments.ray)
        console.say()
    ranking = rank(Path())
    _print(table_lines(ranking))
    if arguments.figure:
        from vintage.repository.sweep_figure import draw_slices

        draw_slices(arguments.figure, ranking)
    return 0


def power(_: argparse.Namespace) -> int:
    """Tell how large a difference must be for the last run's rows and splits to show it."""
    with waiting("computing"):
        numerics.pin()
        from vintage.repository.power import power_lines

        lines = list(power_lines())
    return _print(lines)


def export(arguments: argparse.Namespace) -> int:
    """Write the checkpoint as one ONNX file, for other programs and languages."""
    with waiting("exporting"):
        checkpoint = _model(arguments.model)
        from vintage.predict.export import export_onnx

        export_onnx(arguments.path, checkpoint)
    schema = checkpoint.schema
    console.say(
        f"{console.one_line(arguments.path)}: {len(schema.features)} columns in, "
        f"{len(schema.classes)} classes of {console.one_line(schema.target)!r} out"
    )
    return 0


def card(arguments: argparse.Namespace) -> int:
    """Write the model with a model card into a new folder, ready for the Hugging Face Hub."""
    folder = arguments.folder
    with waiting("writing"):
        numerics.pin()
        from vintage.base.params import load_params
        from vintage.predict.card import write_card

        write_card(Path(), Path(CHECKPOINT), folder, load_params().data.path)
    console.say(f"{console.one_line(folder)}: the model, and its card in README.md")
    return 0


def predict(arguments: argparse.Namespace) -> int:
    """Predict the rows of a table, with the trained model alone."""
    from vintage.base.machine import keep_freed_memory

    keep_freed_memory()
    with waiting("reading the model"):
        network = _model(arguments.model)
    from vintage.predict.new_rows import predict_table

    delimiter = arguments.delimiter.replace("\\t", "\t")
    predict_table(network, arguments.table, arguments.output, delimiter, arguments.id)
    return 0


def score(arguments: argparse.Namespace) -> int:
    """Score labelled rows that came later, and tell what has changed since the model was made."""
    with waiting("scoring"):
        network = _model(arguments.model)
        from vintage.base.params import load_params
        from vintage.predict.scored import score_lines

        delimiter = arguments.delimiter.replace("\\t", "\t")
        confidence = load_params().evaluate.confidence
        lines = list(score_lines(network, arguments.table, delimiter, confidence))
    return _print(lines)


def _model(name: str) -> "Checkpoint":
    """A trained model; from here on, NumPy is pinned and loaded."""
    with located(name) as folder:
        numerics.pin()
        from vintage.network.checkpoint import read_checkpoint

        return read_checkpoint(folder)


def _print(lines: Iterable[str]) -> int:
    """Print a command's lines; returns exit code 0."""
    for line in lines:
        console.say(line)
    return 0


EXAMPLES: dict[Callable[[argparse.Namespace], int], str] = {  # in the order of `--help`
    init: "data/penguins.csv",
    show: "v1",
    check: "",
    verify: "main --stage train",
    mend: "",
    pull: "",
    stale: "",
    compare: "main workspace --format md",
    power: "",
    sweep: "train.learning_rate=0.003,0.01 model.dropout=0.2,0.5",
    export: "model.onnx",
    card: "wine-quality",
    predict: "new.csv -o predictions.csv",
    score: "next-month.csv",
}


class _Parser(argparse.ArgumentParser):
    """One line for an error, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {console.one_line(message)}; see `{self.prog} --help`\n")


def parser() -> argparse.ArgumentParser:
    """The command line; `arguments.command` is the function to run."""
    whole = _Parser(prog="vintage", description="Commands for people, beside `dvc repro`.")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    adders = {}
    for command, example in EXAMPLES.items():
        said = command.__doc__
        added = commands.add_parser(
            command.__name__,
            help=said,
            description=said,
            epilog=f"example: vintage {command.__name__} {example}".rstrip(),
        )
        added.set_defaults(command=command)
        adders[command] = added.add_argument

    add = adders[init]
    add(
        "table",
        metavar="TABLE",
        type=Path,
        help="in this repository: CSV, Parquet or Arrow, or a folder",
    )
    add("--yes", action="store_true", help="take the proposals instead of asking")
    add("--no-run", action="store_true", help="only write params.yaml")

    add = adders[show]
    add("revision", metavar="REVISION", nargs="?", default="workspace", help=f"a {REVISION}")

    add = adders[verify]
    add("revision", metavar="REVISION", nargs="?", default="HEAD", help="of Git; HEAD")
    add("--stage", metavar="NAME", help="run this one alone")
    add("--receipt", metavar="FILE", type=Path, help="write what was found, and where: JSON")
    add("--control", action="store_true", help="change a bit, which must be found")

    add = adders[compare]
    add("a", metavar="REV_A", nargs="?", default="HEAD", help=f"A: a {REVISION}")
    add("b", metavar="REV_B", nargs="*", default=["workspace"], help="B: the same; one or several")
    add("--format", choices=("table", "md", "json"), default="table")
    add("--fail-if-worse", action="store_true", help="exit with 1 if B is worse in a metric")

    add = adders[sweep]
    add(
        "settings",
        metavar="KEY=VALUES",
        nargs="*",
        help="VALUE,VALUE, or LOW..HIGH with --trials",
    )
    add("--trials", metavar="N", type=int, help="settings that Optuna proposes, instead of a grid")
    add(
        "--ray",
        action="store_true",
        help="train on the Ray cluster of RAY_ADDRESS, or the local one",
    )
    add("--show", action="store_true", help="only compare the experiments of HEAD")
    add("--figure", metavar="FILE", type=Path, help="draw the log loss by each parameter, as SVG")

    add = adders[export]
    add("path", metavar="FILE", type=Path, help="such as model.onnx")
    add("--model", default=CHECKPOINT, help=MODEL)

    adders[card]("folder", metavar="FOLDER", type=Path, help="such as wine-quality")

    add = adders[predict]
    formats = "CSV (also .gz), Parquet or Arrow, or a folder of such files"
    add("table", metavar="TABLE", help=f"{formats}; - is CSV from stdin")
    add("-o", "--output", metavar="FILE", default="-", help="CSV, or *.parquet; - is stdout")
    add("--model", default=CHECKPOINT, help=MODEL)
    add("--delimiter", metavar="CHARACTER", default="auto", help="of CSV; found by default")
    add("--id", metavar="COLUMN", help="carried into the output as its second column, `id`")

    add = adders[score]
    add("table", metavar="TABLE", help=f"with the target: {formats}")
    add("--model", default=CHECKPOINT, help=MODEL)
    add("--delimiter", metavar="CHARACTER", default="auto", help="of CSV; found by default")
    return whole


def main() -> None:
    console.listen()
    arguments = parser().parse_args()
    console.run(lambda: arguments.command(arguments))


if __name__ == "__main__":
    main()
