"""A training's state on disk, so that a killed run continues where it was."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import safetensors
import safetensors.torch
from torch import Tensor

from vintage.base.console import say, warn
from vintage.base.files import check_regular, remove_temporaries, write_bytes

SHORTEST_PAUSE = 0.1
LONGEST_SHARE = 0.05

State = dict[str, Tensor]


class Resume(Protocol):
    """Where a training keeps its state."""

    def load(self, expected: State) -> State | None:
        """The state to go on from, with tensors of these names and shapes; None: from the start."""

    def save_now_and_then(self, state: Callable[[], State]) -> None:
        """Called after every epoch; the tensors change in the next one."""


class ResumeFile:
    """One file, replaced as a whole, that names what it belongs to and the hash of its content.

    Args:
        path: no stage output, because DVC deletes those before a stage runs.
        key: a hash of all that the state depends on; a file with another key is ignored.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.key = key
        self._next_save = time.monotonic() + SHORTEST_PAUSE
        self._warned = False

    def load(self, expected: State) -> State | None:
        """The saved state if it is whole and belongs here, else None and a line that says why."""
        try:
            if not self.path.exists():
                return None
            check_regular(self.path)
            with safetensors.safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            belongs = metadata.get("signature") == self._signature(state)
        except Exception:  # whatever a damaged file raises, it is only ignored
            warn(f"{self.path}: ignored, because it is damaged; training starts from the beginning")
            return None
        if not belongs:
            warn(
                f"{self.path}: ignored, because it is damaged or belongs to other inputs, "
                "parameters or code; training starts from the beginning"
            )
            return None
        if {n: t.shape for n, t in state.items()} != {n: t.shape for n, t in expected.items()}:
            warn(f"{self.path}: ignored, because it is of another shape")
            return None
        say(f"continuing after epoch {int(state['epoch'])}, from {self.path}")
        return state

    def save_now_and_then(self, state: Callable[[], State]) -> None:
        """Save if it is time: often enough to lose little, with at most 5 % of the run's time.

        A save that fails, on a full disk or in a folder that is read-only, ends no training: only
        the outputs count, and if they cannot be written either, that is an error of its own.
        """
        started = time.monotonic()
        if started < self._next_save:
            return
        tensors = {name: tensor.cpu().contiguous() for name, tensor in state().items()}
        metadata = {"signature": self._signature(tensors)}
        try:
            write_bytes(self.path, safetensors.torch.save(tensors, metadata))
        except OSError as error:
            self._warn_once(
                f"{self.path}: cannot be written ({error.strerror}); the training goes on, but if "
                "it is killed, what it has done since its last save is lost"
            )
        ended = time.monotonic()
        self._next_save = ended + max(SHORTEST_PAUSE, (ended - started) / LONGEST_SHARE)

    def remove(self) -> None:
        """Remove the file, and what a kill left of writing it. One that stays does no harm."""
        try:
            self.path.unlink(missing_ok=True)
            remove_temporaries(self.path)
        except OSError as error:
            self._warn_once(f"{self.path}: cannot be removed ({error.strerror})")

    def _warn_once(self, text: str) -> None:
        if not self._warned:
            warn(text)
        self._warned = True

    def _signature(self, state: State) -> str:
        digest = hashlib.sha256(self.key.encode())
        for name in sorted(state):
            digest.update(name.encode())
            digest.update(state[name].contiguous().numpy().tobytes())
        return digest.hexdigest()
