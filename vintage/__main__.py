"""Commands for people: `vintage show`, `vintage check`.        python -m vintage --help"""

import argparse
import sys
from pathlib import Path
from typing import Any

from vintage import console, numerics


def show() -> int:
    """Print the scores with their intervals and where the figures are."""
    from vintage.files import read_json
    from vintage.show import score_lines

    for line in score_lines(read_json(Path("metrics/evaluation.json"), dict[str, Any])):
        console.say(line)
    return 0


def check() -> int:
    """Check the outputs; exit code 1 if something is wrong."""
    numerics.pin()
    from vintage.check import check_dvc_status, check_outputs
    from vintage.params import load_params

    root = Path()
    problems = [*check_outputs(root, load_params()), *check_dvc_status(root)]
    for problem in problems:
        console.say(f"wrong: {console.one_line(problem)}")
    console.say(f"{len(problems)} problems found" if problems else "the outputs are valid")
    return 1 if problems else 0


COMMANDS = {"show": show, "check": check}


def main() -> None:
    parser = argparse.ArgumentParser(prog="vintage", description="Commands beside `dvc repro`.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        summary = (command.__doc__ or "").partition("\n")[0]
        commands.add_parser(name, help=summary, description=summary)
    arguments = parser.parse_args(sys.argv[1:])
    console.run(COMMANDS[arguments.command])


if __name__ == "__main__":
    main()
