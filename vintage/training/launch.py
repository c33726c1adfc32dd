"""Several workers, started and watched over by PyTorch's own launcher here, or by Ray."""

import logging
import os
import signal
import sys
import tempfile
import uuid

from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from vintage.base.console import LAUNCHER, LOST, Terminated, warn
from vintage.base.machine import available_cores
from vintage.base.params import ComputeParams

MOST_RESTARTS = 3
SIGNALLED = 128  # and the number of the signal
LOOPBACK = {"linux": "lo", "darwin": "lo0"}


def launch(compute: ComputeParams, module: str) -> None:
    """Run `python -m MODULE` as so many workers, and wait for them.

    If one is killed, all start again, and continue from what the first one saved.

    Raises:
        InputError: there is no Ray, or no cluster of as many processors.
        SystemExit: a worker failed, and has told why.
        ChildProcessError: workers were killed again and again.
    """
    os.environ[LAUNCHER] = str(os.getpid())
    if compute.launcher == "ray":
        from vintage.training.ray_cluster import connect_workers, run_on_cluster

        connect_workers(compute.workers)
        run_once = run_on_cluster
    else:
        run_once = run_here
    for attempt in range(MOST_RESTARTS + 1):
        codes = run_once(compute.workers, module)
        if own := {code for code in codes.values() if 0 < code < SIGNALLED and code != LOST}:
            sys.exit(max(own))
        if not codes:
            return
        if attempt < MOST_RESTARTS:
            warn(
                f"{_what_ended(codes)}; all workers start again and continue from the last saved "
                "epoch"
            )
    raise ChildProcessError(
        f"{_what_ended(codes)}, as others were {MOST_RESTARTS} times before; if memory is short, "
        "use fewer workers or a smaller batch_size"
    )


def run_here(n_workers: int, module: str) -> dict[int, int]:
    """Run it on this machine; the exit codes of the workers that failed, by their number."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // n_workers)))
    if sys.platform in LOOPBACK:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK[sys.platform])
    logging.disable()  # of what it logs of a failure, one line is told here
    with tempfile.TemporaryDirectory() as folder:  # which it needs, and would leave behind
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=n_workers,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(folder),
        )
        config.signals_to_handle = "SIGQUIT"  # for the others we have our own, which act only once
        try:
            elastic_launch(config, sys.executable)("-m", module)
        except SignalException as error:
            raise KeyboardInterrupt if error.sigval == signal.SIGINT else Terminated from None
        except ChildFailedError as error:
            return {failure.local_rank: failure.exitcode for failure in error.failures.values()}
    return {}


def _what_ended(codes: dict[int, int]) -> str:
    # one that was killed comes first: the launcher may have ended the others thereafter
    killed_first = sorted(
        codes.items(), key=lambda end: (_number(end[1]) == signal.SIGTERM, end[1] > 0, end)
    )
    for rank, code in killed_first:
        if code != LOST:
            return f"worker {rank} was ended by {signal.Signals(_number(code)).name}"
    return "the workers lost each other"


def _number(code: int) -> int:
    """The number of the signal that a process ended by, of its exit code."""
    return -code if code < 0 else code - SIGNALLED
