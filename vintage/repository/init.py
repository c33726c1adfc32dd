"""`vintage init`: a few questions about a table, and `params.yaml` with the answers."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vintage.base.console import InputError, one_line, say
from vintage.base.files import write_bytes
from vintage.base.params import PARAMS_PATH, load_params
from vintage.base.waiting import waiting
from vintage.repository.params_file import Key, with_values
from vintage.repository.propose import (
    Column,
    Proposal,
    columns_of,
    propose_groups,
    propose_ignored,
    propose_target,
    propose_time,
)
from vintage.table.folder import no_such_table
from vintage.table.streamed import is_large

NONE = "none"
# what said something of the table before
FRESH: dict[Key, Any] = {
    ("data", "id"): NONE,
    ("data", "kinds"): {},
    ("split", "val_size"): "auto",
    ("split", "group_by"): "duplicates",
    ("split", "order_by"): NONE,
    ("split", "column"): NONE,
    ("evaluate", "require"): {},
}


def init(root: Path, table: Path, takes_proposals: bool) -> None:
    """Ask, and write the answers into `params.yaml`; its other lines stay as they are.

    Raises:
        InputError: the table cannot be read or lies elsewhere, or an answer names no column.
    """
    data = load_params(root / PARAMS_PATH).data
    text = (root / PARAMS_PATH).read_text(encoding="utf-8")
    path = _inside(root, table)
    in_parts = is_large(Path(path))
    with waiting("reading the table"):
        columns = columns_of(Path(path), data.missing, in_parts)
    if in_parts:
        n_rows = max((len(column.cells) for column in columns.values()), default=0)
        say(
            f"{one_line(path)}: is large, so it is split in parts, by a hash of each row; what is "
            f"proposed rests on its first {n_rows} rows"
        )
    ask = _take if takes_proposals else _ask
    (target,) = ask("Which column is to be predicted?", propose_target(columns), columns, 1)
    proposal = propose_ignored(columns, target)
    ignored = ask("Which columns are not to be used?", proposal, columns, len(columns))
    features = [name for name in columns if name not in {target, *ignored}]
    answers = FRESH | {
        ("data", "path"): path,
        ("data", "target"): target,
        ("data", "ignore"): list(ignored),
        ("data", "delimiter"): "auto",
    }
    if in_parts:  # its rows cannot be sorted
        answers["split", "by"] = "hash"
    else:
        question = "Which column holds the time of each row? The latest rows become the test rows."
        for name in ask(question, propose_time(columns, features), columns, 1, may_be_none=True):
            answers["split", "order_by"] = name
    if answers["split", "order_by"] == NONE:
        question = "Which column names the group that a row belongs to, such as its patient?"
        for name in ask(question, propose_groups(columns, features), columns, 1, may_be_none=True):
            answers["split", "group_by"] = name
    write_bytes(root / PARAMS_PATH, with_values(text, answers).encode("utf-8"))


def _inside(root: Path, table: Path) -> str:
    """The table's path from the repository's root, as `data.path` has it."""
    if not table.exists():
        raise no_such_table(table)
    if not table.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{table}: lies outside of this repository; copy it into data/ first")
    return table.resolve().relative_to(root.resolve()).as_posix()


def _take(
    question: str, proposal: Proposal, _: Mapping[str, Column], most: int, may_be_none: bool = False
) -> Sequence[str]:
    _say(question, proposal)
    if most == 1 and not (proposal.columns or may_be_none):
        raise InputError(f"{proposal.reason}; see data.target")
    return proposal.columns


def _ask(
    question: str,
    proposal: Proposal,
    columns: Mapping[str, Column],
    most: int,
    may_be_none: bool = False,
) -> Sequence[str]:
    """Columns named by a person: nothing takes the proposal, `none` is no column."""
    _say(question, proposal)
    while True:
        print("> ", end="", flush=True)
        if not (line := sys.stdin.readline()):
            raise InputError("the answer is missing; --yes takes the proposals")
        answer = line.strip()
        names = proposal.columns if not answer else _named(answer, columns)
        unknown = [name for name in names if name not in columns]
        needed = most == 1 and not may_be_none
        if unknown:
            known = ", ".join(one_line(name)[:60] for name in list(columns)[:20])
            say(f"{one_line(unknown[0])!r} is no column; the columns are {known}")
        elif len(names) > most or (needed and not names):
            say("one column" if needed else "one column, or none")
        else:
            return names


def _named(answer: str, columns: Mapping[str, Column]) -> Sequence[str]:
    if answer in columns:
        return (answer,)
    return () if answer == NONE else tuple(name.strip() for name in answer.split(","))


def _say(question: str, proposal: Proposal) -> None:
    proposed = ", ".join(map(one_line, proposal.columns)) or NONE
    say(f"{question}\n  proposed: {proposed} ({one_line(proposal.reason)})")
