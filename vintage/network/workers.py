"""The processes that train one network together, each with a share of the rows of every step.

`torchrun`, `vintage.training.launch` or whoever else starts them puts into their environment who
they are, and PyTorch passes the messages. What is a sum over rows becomes one over all workers:
first the maxima that its grid follows from, then the sums, which are of whole numbers. So the bits
do not depend on how many workers there are; see `vintage.network.exact`. A process alone is the
only worker, and sends nothing.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from vintage.base import console
from vintage.base.console import InputError, WorkerLostError, one_line

TIME_TO_TELL = 2.0  # seconds
DIGEST_SIZE = 32  # bytes, of SHA-256


@contextmanager
def joined() -> Iterator[None]:
    """In here are the other workers, if the environment says that there are any.

    Only the first one prints. What the others fail by they tell only if it is theirs alone.

    Raises:
        InputError: the environment does not say where, or who is who.
        WorkerLostError: they do not meet, or one has ended.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield
        return
    _join()
    yield
    # or its threads may abort the process at the end
    dist.destroy_process_group()


def _join() -> None:
    _check_environment()
    console.speaks = _speaks
    if int(os.environ["RANK"]):
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    hook = sys.excepthook
    # Python answers no signal while PyTorch waits for the others
    waiting = ThreadPoolExecutor(1)
    try:
        waiting.submit(_meet, _backend()).result()
    except RuntimeError as error:
        raise WorkerLostError(f"the workers do not meet ({one_line(error)[:200]})") from None
    finally:
        waiting.shutdown(wait=False)
        sys.excepthook = hook  # PyTorch's holds back what is printed until it has returned


def _check_environment() -> None:
    """Refuse what PyTorch would wait for in vain, or end by an error of its own."""
    if not os.environ.get("MASTER_ADDR"):
        raise InputError("environment: MASTER_ADDR is not set; it is the address of worker 0")
    n_workers = _number("WORLD_SIZE", 1, 2**16, "the number of workers")
    _number("RANK", 0, n_workers - 1, "the number of this worker")
    _number("MASTER_PORT", 1, 2**16 - 1, "a free port of worker 0's machine")


def _number(name: str, least: int, most: int, meaning: str) -> int:
    text = os.environ.get(name, "")
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        found = one_line(text)[:40]
        raise InputError(
            f"environment: {name} is {found!r}; it is {meaning}, from {least} to {most}"
        )
    return int(text)


def _meet(backend: str) -> None:
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store, rank_of_this, n_workers = next(rendezvous("env://"))
    # the store may still hold the addresses of workers that have ended
    store = dist.PrefixStore(attempt, store)  # type: ignore[attr-defined]
    # while it makes the group, PyTorch lets no other thread run, so all are to be here before
    store.set(f"worker {rank_of_this}", "is here")
    store.wait([f"worker {rank}" for rank in range(n_workers)])
    dist.init_process_group(backend, store=store, rank=rank_of_this, world_size=n_workers)


def _speaks(error: BaseException) -> bool:
    match error:
        case KeyboardInterrupt() | console.Terminated() | WorkerLostError():
            # which the launcher tells
            return os.environ["RANK"] == "0" and console.LAUNCHER not in os.environ
        case InputError() if os.environ["RANK"] != "0":
            # all read the same files, so the first one has the same error, tells it and ends all
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            time.sleep(TIME_TO_TELL)
    return True


def _backend() -> str:
    """NCCL between GPUs, where each worker of this machine has its own."""
    n_devices = torch.cuda.device_count()
    if not n_devices:
        return "gloo"
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % n_devices)
    has_own = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) <= n_devices
    return "cpu:gloo,cuda:nccl" if has_own and dist.is_nccl_available() else "gloo"


def size() -> int:
    """How many workers there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this worker, from 0. The first one reads the saved state and writes."""
    return dist.get_rank() if size() > 1 else 0


def share(n_rows: int) -> slice:
    """Which of `n_rows` are this worker's; the numbers of workers differ by at most one row."""
    return slice(n_rows * rank() // size(), n_rows * (rank() + 1) // size())


def maxima_of_all(maxima: Sequence[Tensor], n_rows: int) -> tuple[list[Tensor], int]:
    """Maxima over a worker's `n_rows` -> those over the rows of all, and how many these are."""
    if size() == 1:
        return list(maxima), n_rows
    counts = torch.zeros(size(), dtype=torch.float64)
    counts[rank()] = n_rows
    *found, counts = _reduced([*maxima, counts.to(maxima[0].device)], dist.ReduceOp.MAX)
    return found, int(counts.sum())


def sums_of_all(sums: Sequence[Tensor]) -> list[Tensor]:
    """Sums over a worker's rows, of one dtype -> those over the rows of all."""
    return list(sums) if size() == 1 else _reduced(sums, dist.ReduceOp.SUM)


def _reduced(tensors: Sequence[Tensor], operation: dist.ReduceOp.RedOpType) -> list[Tensor]:
    """All tensors in one message, which takes hardly longer than a small one."""
    message = torch.cat([tensor.flatten() for tensor in tensors])
    with _noticing_loss():
        dist.all_reduce(message, operation)
    parts = message.split([tensor.numel() for tensor in tensors])
    return [
        part.view(tensor.shape).to(tensor.dtype)
        for part, tensor in zip(parts, tensors, strict=True)
    ]


def copy_from_first(tensors: Mapping[str, Tensor]) -> None:
    """Overwrite the tensors of each worker with those of the first."""
    with _noticing_loss():
        for name in sorted(tensors if size() > 1 else ()):
            dist.broadcast(tensors[name], 0)


def check_same(digests: Mapping[str, bytes]) -> None:
    """Raises InputError if another worker has another digest of anything than the first.

    Args:
        digests: SHA-256 by what it is of; the names are the same everywhere.
    """
    if size() == 1:
        return
    own = torch.frombuffer(bytearray(b"".join(digests.values())), dtype=torch.uint8)
    found = [torch.empty_like(own) for _ in range(size())]
    with _noticing_loss():
        dist.all_gather(found, own)
    by_worker = [list(each.split(DIGEST_SIZE)) for each in found]
    for worker, others in enumerate(by_worker):
        for name, first, other in zip(digests, by_worker[0], others, strict=True):
            if not torch.equal(first, other):
                raise InputError(
                    f"worker {worker} sees another {name} than worker 0; give all workers the same "
                    "files, such as a folder that all machines share"
                )


@contextmanager
def _noticing_loss() -> Iterator[None]:
    """Turn what PyTorch raises when a message does not pass into a WorkerLostError."""
    try:
        yield
    except RuntimeError as error:
        raise WorkerLostError(f"another worker has ended ({one_line(error)[:100]})") from None
