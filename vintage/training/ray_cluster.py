"""Several workers on a Ray cluster: the first one here, each other one as a task of Ray.

Ray finds a place for a task and tells how it ended. The workers themselves meet and speak as those
of any launcher do, see `vintage.network.workers`.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from vintage.base import console
from vintage.base.console import InputError, one_line, say

TIME_TO_ANSWER = 5.0  # seconds
TIME_TO_END = 30.0  # seconds, for the others to notice that one has ended


class Cluster(NamedTuple):
    """What a cluster has, as it was when this process joined it."""

    n_nodes: int
    n_processors: int


def connect(asked_by: str, shows_tasks: bool) -> Cluster:
    """Join the cluster of RAY_ADDRESS, or the one that runs on this machine.

    Args:
        asked_by: the parameter or option that needs it.
        shows_tasks: whether what tasks print is printed here.

    Raises:
        InputError: Ray is not installed, or there is no cluster.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise InputError(f"{asked_by} needs Ray; run `pip install -e '.[ray]'`") from None
    address = os.environ.get("RAY_ADDRESS", "auto")
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        _check_answers(address)
        ray.init(address=address, logging_level="ERROR", log_to_driver=shows_tasks)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{asked_by} needs a Ray cluster, and there is none; start one with `ray start "
            f"--head`, or set RAY_ADDRESS ({one_line(error)[:200]})"
        ) from None
    signal.signal(signal.SIGTERM, terminate)  # which Ray answers in its own way
    n_nodes = sum(node["Alive"] for node in ray.nodes())
    return Cluster(n_nodes, int(ray.cluster_resources().get("CPU", 0)))


def _check_answers(address: str) -> None:
    """OSError if nothing answers at HOST:PORT, which Ray itself would try for a quarter of an hour.

    Others, such as `auto`, Ray finds out by itself.
    """
    parts = urlsplit(address if "://" in address else f"//{address}")
    if parts.hostname and parts.port:
        try:
            socket.create_connection((parts.hostname, parts.port), TIME_TO_ANSWER).close()
        except OSError as error:
            raise ConnectionError(f"{address}: {error.strerror or error}") from None


def connect_workers(n_workers: int) -> None:
    """Join the cluster for a training; see `connect`.

    Raises:
        InputError: there is no cluster of as many processors.
    """
    cluster = connect("compute.launcher: ray", shows_tasks=True)
    if n_workers - 1 > cluster.n_processors:
        raise InputError(
            f"params.yaml: compute.workers: {n_workers} need {n_workers - 1} processors of the Ray "
            f"cluster beside this process, and it has {cluster.n_processors}"
        )
    say(f"{n_workers} workers on a Ray cluster of {cluster.n_nodes} nodes")


def run_on_cluster(n_workers: int, module: str) -> dict[int, int]:
    """Run `python -m MODULE` as so many workers; the exit codes of those that failed, by number.

    All nodes must see this folder, this environment and, for its port, this machine.
    """
    import ray

    elsewhere = environment_of_task() | {
        "WORLD_SIZE": str(n_workers),
        "MASTER_ADDR": ray.util.get_node_ip_address(),
        "MASTER_PORT": str(_free_port()),
    }
    here = elsewhere | {console.LAUNCHER: os.environ[console.LAUNCHER], "RANK": "0"}
    command = [sys.executable, "-m", module]
    first = subprocess.Popen(command, env=here)
    run = ray.remote(subprocess.call).options(
        num_cpus=1, max_retries=0, scheduling_strategy="SPREAD"
    )
    tasks = {
        run.remote(command, cwd=str(Path.cwd()), env=elsewhere | {"RANK": str(rank)}): rank
        for rank in range(1, n_workers)
    }
    try:
        codes = _wait(first, tasks)
    finally:
        first.terminate()
        for task in tasks:
            ray.cancel(task, force=True)
        first.wait()
    return {rank: code for rank, code in codes.items() if code}


def environment_of_task() -> dict[str, str]:
    """That of this process, for one that a task starts on any node, and that ends with it."""
    import ray

    environment = {name: value for name, value in os.environ.items() if name != console.LAUNCHER}
    environment["TORCHELASTIC_RUN_ID"] = ray.get_runtime_context().get_job_id()  # see STARTERS
    environment.setdefault("OMP_NUM_THREADS", "1")
    return environment


def _wait(first: "subprocess.Popen[bytes]", tasks: dict[Any, int]) -> dict[int, int]:
    """The exit code of each worker; those that outlive a failed one for too long are left out."""
    import ray

    codes: dict[int, int] = {}
    pending, deadline = list(tasks), float("inf")
    while (pending or 0 not in codes) and time.monotonic() < deadline:
        if 0 not in codes and first.poll() is not None:
            codes[0] = first.returncode
        done, pending = ray.wait(pending, timeout=0.1) if pending else ([], [])
        for task in done:
            try:
                codes[tasks[task]] = ray.get(task)
            except ray.exceptions.RayError:  # its node or its process has gone
                codes[tasks[task]] = -signal.SIGKILL
        if not pending:
            time.sleep(0.05)
        if any(codes.values()):
            deadline = min(deadline, time.monotonic() + TIME_TO_END)
    return codes


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        return int(free.getsockname()[1])
