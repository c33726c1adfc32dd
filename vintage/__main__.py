"""Commands for people, beside `dvc repro`.        python -m vintage --help

A command is a function here, whose docstring is its help, and a module that does the work. NumPy
and PyTorch are imported after `numerics.pin`, see there.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from vintage.base import console, numerics

Command = Callable[[argparse.Namespace], int]
Argument = tuple[tuple[str, ...], dict[str, Any]]

COMMANDS: dict[Command, tuple[Argument, ...]] = {}
CHECKPOINT = "data/checkpoint"
MODEL = f"a checkpoint's folder or a Git revision; {CHECKPOINT}"
REVISION = "Git revision, branch, tag, DVC experiment, or `workspace`"


def argument(*names: str, **settings: Any) -> Argument:
    """What `argparse` takes as an argument."""
    return names, settings


def command(*arguments: Argument) -> Callable[[Command], Command]:
    """Make a function a command that takes these arguments; it returns the exit code."""

    def register(function: Command) -> Command:
        COMMANDS[function] = arguments
        return function

    return register


@command()
def show(_: argparse.Namespace) -> int:
    """Print the verdict, the scores with their intervals, and where the figures are."""
    from vintage.base.files import read_json
    from vintage.report.rivals import Rivals
    from vintage.report.show import score_lines
    from vintage.scores.evaluation import Baselines, Evaluation

    metrics = Path("metrics")
    evaluation = read_json(metrics / "details.json", Evaluation)
    baselines, comparison = metrics / "baseline.json", metrics / "comparison.json"
    for line in score_lines(
        evaluation,
        read_json(baselines, Baselines).models if baselines.exists() else None,
        read_json(comparison, Rivals) if comparison.exists() else None,
    ):
        console.say(line)
    return 0


@command()
def check(_: argparse.Namespace) -> int:
    """Check what the pipeline put out; exit code 1 if something is wrong."""
    numerics.pin()
    from vintage.base.params import load_params
    from vintage.repository.check import check
    from vintage.scores.evaluation import check_required

    params = load_params()
    check_required(params.evaluate.require)
    problems = list(dict.fromkeys(check(Path(), params)))
    for problem in problems:
        console.say(f"wrong: {console.one_line(problem)}")
    console.say(f"{len(problems)} problems found" if problems else "the outputs are valid")
    return 1 if problems else 0


@command()
def mend(_: argparse.Namespace) -> int:
    """Mend what a kill or a full disk did to DVC's own files."""
    from vintage.repository.mend import mend

    for line in mend(Path()):
        console.say(line)
    return 0


@command()
def stale(_: argparse.Namespace) -> int:
    """Name the stages whose inputs are not those in dvc.lock."""
    from vintage.repository.status import stale_stages

    console.say(", ".join(stale_stages(Path())) or "none")
    return 0


@command(
    argument("revision", metavar="REVISION", nargs="?", default="HEAD", help="of Git; HEAD"),
    argument("--stage", metavar="NAME", help="run this one alone"),
    argument("--receipt", metavar="FILE", type=Path, help="write what was found, and where: JSON"),
    argument("--control", action="store_true", help="change a bit, which must be found"),
)
def verify(arguments: argparse.Namespace) -> int:
    """Run the stages again in a temporary clone, and compare with dvc.lock and Git."""
    from vintage.repository.verify import control, verify

    revision, stage, receipt = arguments.revision, arguments.stage, arguments.receipt
    if receipt and arguments.control:
        raise console.InputError("--receipt tells what is recorded, which --control changes")
    try:
        return control(revision, stage) if arguments.control else verify(revision, stage, receipt)
    except (OSError, MemoryError) as error:  # exit code 1 says that an output differs
        raise console.InputError(str(error) or "not enough memory") from None


@command(
    argument("a", metavar="REV_A", nargs="?", default="HEAD", help=f"A: a {REVISION}"),
    argument("b", metavar="REV_B", nargs="?", default="workspace", help="B: the same"),
    argument("--format", choices=("table", "md", "json"), default="table"),
    argument("--fail-if-worse", action="store_true", help="exit with 1 if B is worse in a metric"),
)
def compare(arguments: argparse.Namespace) -> int:
    """Tell whether B's predictions are better than A's, metric by metric."""
    numerics.pin()
    from vintage.repository.compare import FORMATS, compare_revisions, is_worse
    from vintage.repository.revisions import read_revision

    try:
        comparison = compare_revisions(read_revision(arguments.a), read_revision(arguments.b))
    except (OSError, MemoryError) as error:  # exit code 1 says that B is worse, and nothing else
        raise console.InputError(str(error) or "not enough memory") from None
    for line in FORMATS[arguments.format](comparison):
        console.say(line)
    return 1 if arguments.fail_if_worse and is_worse(comparison) else 0


@command(
    argument("path", metavar="FILE", type=Path, help="such as model.onnx"),
    argument("--model", default=CHECKPOINT, help=MODEL),
)
def export(arguments: argparse.Namespace) -> int:
    """Write the checkpoint as one ONNX file, for other programs and languages."""
    from vintage.predict.locate import located

    with located(arguments.model) as model:
        numerics.pin()
        from vintage.network.checkpoint import read_checkpoint
        from vintage.predict.export import export_onnx

        checkpoint = read_checkpoint(model)
    export_onnx(arguments.path, checkpoint)
    schema = checkpoint.schema
    console.say(
        f"{console.one_line(arguments.path)}: {len(schema.features)} columns in, "
        f"{len(schema.classes)} classes of {console.one_line(schema.target)!r} out"
    )
    return 0


@command(
    argument(
        "table", metavar="TABLE", help="CSV (also .gz), Parquet or Arrow; - is CSV from stdin"
    ),
    argument("-o", "--output", metavar="FILE", default="-", help="CSV, or *.parquet; - is stdout"),
    argument("--model", default=CHECKPOINT, help=MODEL),
    argument("--delimiter", metavar="CHARACTER", default="auto", help="of CSV; found by default"),
    argument("--id", metavar="COLUMN", help="carried into the output as its second column, `id`"),
)
def predict(arguments: argparse.Namespace) -> int:
    """Predict the rows of a table, with the trained model alone."""
    from vintage.base.machine import keep_freed_memory
    from vintage.predict.locate import located, numerics_of

    with located(arguments.model) as model:
        pinned = numerics_of(model)
        numerics.pin(pinned)
        keep_freed_memory()
        from vintage.predict.model import read_network

        network = read_network(model)
    from vintage.predict.new_rows import predict_table

    delimiter = arguments.delimiter.replace("\\t", "\t")
    predict_table(
        network, arguments.table, arguments.output, delimiter, pinned, id_column=arguments.id
    )
    return 0


class _Parser(argparse.ArgumentParser):
    """One line for an error, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {console.one_line(message)}; see `{self.prog} --help`\n")


def main() -> None:
    parser = _Parser(prog="vintage", description="Commands for people, beside `dvc repro`.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for function, its_arguments in COMMANDS.items():
        added = commands.add_parser(
            function.__name__, help=function.__doc__, description=function.__doc__
        )
        for names, settings in its_arguments:
            added.add_argument(*names, **settings)
        added.set_defaults(command=function)
    arguments = parser.parse_args()
    console.run(lambda: arguments.command(arguments))


if __name__ == "__main__":
    main()
