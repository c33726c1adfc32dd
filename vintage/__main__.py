"""Commands for people, beside `dvc repro`.        python -m vintage --help"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from vintage.base import console, numerics


def show(_: argparse.Namespace) -> int:
    """Print the verdict, the scores with their intervals, and where the figures are."""
    from vintage.base.files import read_json
    from vintage.report.show import score_lines
    from vintage.scores.evaluation import Baselines, Comparison, Evaluation

    metrics = Path("metrics")
    evaluation = read_json(metrics / "details.json", Evaluation)
    baselines, comparison = metrics / "baseline.json", metrics / "comparison.json"
    for line in score_lines(
        evaluation,
        read_json(baselines, Baselines).models if baselines.exists() else None,
        read_json(comparison, Comparison) if comparison.exists() else None,
    ):
        console.say(line)
    return 0


def check(_: argparse.Namespace) -> int:
    """Check what the pipeline put out; exit code 1 if something is wrong."""
    numerics.pin()
    from vintage.base.params import load_params
    from vintage.repository.check import check_dvc_status, check_outputs
    from vintage.repository.declared import check_declared
    from vintage.repository.provenance import check_provenance
    from vintage.repository.stored import check_stored

    root = Path()
    params = load_params()
    problems = [
        *check_outputs(root, params),
        *check_provenance(params),
        *check_stored(root),
        *check_dvc_status(root),
        *check_declared(root),
    ]
    for problem in problems:
        console.say(f"wrong: {console.one_line(problem)}")
    console.say(f"{len(problems)} problems found" if problems else "the outputs are valid")
    return 1 if problems else 0


def mend(_: argparse.Namespace) -> int:
    """Mend what a kill or a full disk did to DVC's own files."""
    from vintage.repository.mend import mend

    for line in mend(Path()):
        console.say(line)
    return 0


def stale(_: argparse.Namespace) -> int:
    """Name the stages whose inputs are not those in dvc.lock."""
    numerics.pin()
    from vintage.repository.check import stale_stages

    console.say(", ".join(stale_stages(Path())) or "none")
    return 0


def compare(arguments: argparse.Namespace) -> int:
    """Tell whether B's predictions are better than A's, metric by metric.

    Exit code 1 says only that B is worse, and only with --fail-if-worse; any error is 2.
    """
    numerics.pin()
    from vintage.repository.compare import FORMATS, compare_revisions, is_worse
    from vintage.repository.revisions import read_revision

    try:
        a, b = read_revision(arguments.a), read_revision(arguments.b)
        comparison = compare_revisions(a, b)
        for line in FORMATS[arguments.format](comparison):
            console.say(line)
    except BrokenPipeError:
        raise
    except (OSError, MemoryError, ArithmeticError) as error:
        message = str(error) or "not enough memory"
        raise console.InputError(f"{arguments.a}, {arguments.b}: {message}") from None
    return 1 if arguments.fail_if_worse and is_worse(comparison) else 0


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


def predict(arguments: argparse.Namespace) -> int:
    """Predict the rows of a table, with the trained model alone."""
    from vintage.base.memory import keep_freed_memory
    from vintage.predict.locate import located, numerics_of

    with located(arguments.model) as model:
        pinned = numerics_of(model)
        numerics.pin(pinned)
        keep_freed_memory()
        from vintage.predict.model import read_network

        network = read_network(model)
    from vintage.predict.new_rows import predict_table

    predict_table(
        network,
        arguments.table,
        arguments.output,
        delimiter=arguments.delimiter.replace("\\t", "\t"),
        chunk_rows=arguments.chunk_rows,
        numerics=pinned,
        id_column=arguments.id,
    )
    return 0


def run_command(arguments: argparse.Namespace) -> int:
    """Exit code 141, in silence, if whoever reads the output has seen enough."""
    try:
        code: int = arguments.command(arguments)
    except BrokenPipeError:
        # Python flushes once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def _n_rows(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text}; it is a number of rows, from 1")
    return int(text)


class _Parser(argparse.ArgumentParser):
    """One line for an error, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {console.one_line(message)}; see `{self.prog} --help`\n")


def main() -> None:
    parser = _Parser(prog="vintage", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(command: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        summary = (command.__doc__ or "").partition("\n")[0]
        added = commands.add_parser(command.__name__, help=summary, description=summary)
        added.set_defaults(command=command)
        return added

    add(show)
    add(check)
    add(mend)
    add(stale)
    comparing = add(compare)
    revision = "Git revision, branch, tag, DVC experiment, or `workspace`"
    comparing.add_argument("a", metavar="REV_A", nargs="?", default="HEAD", help=f"A: a {revision}")
    comparing.add_argument("b", metavar="REV_B", nargs="?", default="workspace", help="B: the same")
    comparing.add_argument("--format", choices=("table", "md", "json"), default="table")
    comparing.add_argument(
        "--fail-if-worse", action="store_true", help="exit with 1 if B is worse in a metric"
    )
    exporting = add(export)
    exporting.add_argument("path", metavar="FILE", type=Path, help="such as model.onnx")
    model = "a checkpoint's folder or a Git revision; data/checkpoint"
    exporting.add_argument("--model", default="data/checkpoint", help=model)
    predicting = add(predict)
    predicting.add_argument(
        "table", metavar="TABLE", help="CSV (also .gz), Parquet or Arrow; - is standard input, CSV"
    )
    predicting.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default="-",
        help="CSV, or Parquet if it ends in .parquet; - is standard output, and the default",
    )
    predicting.add_argument("--model", default="data/checkpoint", help=model)
    predicting.add_argument(
        "--delimiter", default="auto", metavar="CHARACTER", help="of CSV; found, if not given"
    )
    predicting.add_argument(
        "--chunk-rows", type=_n_rows, metavar="N", help="predicted at a time; bounds the memory"
    )
    predicting.add_argument(
        "--id", metavar="COLUMN", help="carried into the output as its second column, `id`"
    )
    arguments = parser.parse_args()
    console.run(lambda: run_command(arguments))


if __name__ == "__main__":
    main()
