"""Several workers on this machine, started and watched over by PyTorch's own launcher."""

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

MOST_RESTARTS = 3
SIGNALLED = 128  # and the number of the signal
LOOPBACK = {"linux": "lo", "darwin": "lo0"}


def launch(n_workers: int, module: str) -> None:
    """Run `python -m MODULE` as so many workers, and wait for them.

    If one is killed, all start again, and continue from what the first one saved.

    Raises:
        SystemExit: a worker failed, and has told why.
        ChildProcessError: workers were killed again and again.
    """
    os.environ[LAUNCHER] = str(os.getpid())
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // n_workers)))
    if sys.platform in LOOPBACK:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK[sys.platform])
    logging.disable()  # of what it logs of a failure, one line is told here
    for _ in range(MOST_RESTARTS):
        ended = _run_once(n_workers, module)
        if ended is None:
            return
        warn(f"{ended}; all workers start again and continue from the last saved epoch")
    if ended := _run_once(n_workers, module):
        raise ChildProcessError(
            f"{ended}, as others were {MOST_RESTARTS} times before; if memory is short, use fewer "
            "workers or a smaller batch_size"
        )


def _run_once(n_workers: int, module: str) -> str | None:
    """Which worker was ended by which signal; None at a good end."""
    with tempfile.TemporaryDirectory() as folder:  # which it needs, and would leave behind
        return _run(n_workers, module, DefaultLogsSpecs(folder))


def _run(n_workers: int, module: str, logs: DefaultLogsSpecs) -> str | None:
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=n_workers,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        logs_specs=logs,
    )
    config.signals_to_handle = "SIGQUIT"  # for the others we have our own, which act only once
    try:
        elastic_launch(config, sys.executable)("-m", module)
    except SignalException as error:
        raise KeyboardInterrupt if error.sigval == signal.SIGINT else Terminated from None
    except ChildFailedError as error:
        codes = {failure.local_rank: failure.exitcode for failure in error.failures.values()}
        if own := {code for code in codes.values() if 0 < code < SIGNALLED and code != LOST}:
            sys.exit(max(own))
        return _what_ended(codes)
    return None


def _what_ended(codes: dict[int, int]) -> str:
    # those that were killed come first: others may have been ended by the launcher thereafter
    for rank, code in sorted(codes.items(), key=lambda item: (item[1] > 0, item)):
        if code != LOST:
            name = signal.Signals(-code if code < 0 else code - SIGNALLED).name
            return f"worker {rank} was ended by {name}"
    return "the workers lost each other"
