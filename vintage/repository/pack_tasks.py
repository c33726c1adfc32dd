"""The packs of a search as tasks of a Ray cluster, each in a process of its own on any node."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from vintage.base.console import InputError, one_line, warn
from vintage.base.waiting import waiting
from vintage.repository import pack_process
from vintage.repository.pack import Files
from vintage.training.ray_cluster import environment_of_task

MOST_RESTARTS = 3  # of a pack
SIGNALLED = 128  # and the number of the signal

Done = subprocess.CompletedProcess[bytes]


class _Task(NamedTuple):
    place: int
    request: bytes
    n_restarts: int


def train_on_cluster(
    packs: Iterator[Sequence[str]], digests: Mapping[str, str], n_at_once: int
) -> Iterator[tuple[int, list[Files | str]]]:
    """Train packs as `vintage.repository.pack.train_pack` does, in the order in which they end.

    A pack whose process or node has gone is trained again.

    Args:
        packs: the `params.yaml` of their settings; the next one is taken when there is room.
        digests: of what all nodes must have.

    Yields:
        The number of a pack, from 0, and what each of its settings leaves.

    Raises:
        InputError: a node has other files, or not this environment.
        ChildProcessError: a process failed, or was killed again and again.
    """
    import ray

    command = [sys.executable, "-m", "vintage.repository.pack_process"]
    folder, environment = str(Path.cwd()), environment_of_task()
    run = ray.remote(subprocess.run).options(
        num_cpus=1, max_retries=0, scheduling_strategy="SPREAD"
    )
    to_start = enumerate(packs)
    tasks: dict[Any, _Task] = {}

    def start(task: _Task) -> None:
        asked = {"input": task.request, "capture_output": True}
        tasks[run.remote(command, cwd=folder, env=environment, **asked)] = task

    ended: list[tuple[int, list[Files | str]]] = []
    try:
        while True:
            for place, texts in islice(to_start, n_at_once - len(tasks)):
                start(_Task(place, pack_process.request(texts, digests), 0))
            yield from ended  # while the next ones train
            if not tasks:
                return
            ended = []
            ready: list[Any] = []
            with waiting("training"):
                while not ready:  # at most one; a signal is answered in between
                    ready = ray.wait(list(tasks), timeout=1.0)[0]
            for reference in ready:
                task = tasks.pop(reference)
                done = _result(reference)
                if isinstance(done, str):
                    start(_again(task, done))
                else:
                    ended.append((task.place, pack_process.response(done.stdout)))
    finally:
        for reference in tasks:
            ray.cancel(reference, force=True)


def _result(reference: Any) -> Done | str:
    """What a process has printed, or what has ended it."""
    import ray

    try:
        done: Done = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise InputError(
            f"a node of the Ray cluster cannot run {sys.executable} in {Path.cwd()}; all nodes "
            f"need this folder and this environment ({one_line(error.cause)[:200]})"
        ) from None
    except ray.exceptions.RayError:
        return "its task or its node has gone"
    number = -done.returncode if done.returncode < 0 else done.returncode - SIGNALLED
    if number in signal.valid_signals():
        return f"its process was ended by {signal.Signals(number).name}"
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        kind = InputError if done.returncode == 2 else ChildProcessError
        raise kind(f"on a node of the Ray cluster: {said.removeprefix('error: ')}")
    return done


def _again(task: _Task, reason: str) -> _Task:
    if task.n_restarts == MOST_RESTARTS:
        raise ChildProcessError(
            f"a pack was not trained: {reason}, as {MOST_RESTARTS} times before; if memory is "
            "short, give each node fewer processors"
        )
    warn(f"a pack is trained again: {reason}")
    return task._replace(n_restarts=task.n_restarts + 1)
