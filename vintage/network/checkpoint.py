"""The checkpoint folder: weights, what they are, and the schema; the folder alone can predict."""

from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import safetensors.torch
from pydantic import Field, model_validator

from vintage.base.files import Strict, read_json, write_bytes, write_json
from vintage.base.numerics import Numerics
from vintage.base.params import Device
from vintage.base.recipe import Architecture, Recipe
from vintage.base.tensors import Features, Schema, read_schema, write_schema
from vintage.network.arithmetic import ARITHMETIC
from vintage.network.ensemble import Ensemble, choose_device, load_ensemble

_Epoch = Annotated[int, Field(ge=1, le=1_000_000)]


class Manifest(Strict):
    """`model.json`: what the weights are and how they came about.

    A field that is added needs a default, so that earlier checkpoints are read.

    Attributes:
        model: the architecture.
        recipe: how the weights were trained; None in the first checkpoints.
        seeds: of each replica's initial weights.
        best_epochs: of each replica, from 1: the epoch whose weights it kept.
        n_epochs: how many were trained.
        learned_rows: a digest of the train and validation rows, see `digest_of`; None in earlier
            checkpoints.
        numerics: `exact` or `fast`; in earlier checkpoints others, which are read as `exact`.
        settled_epoch, still_falling: in earlier checkpoints; ignored.
    """

    model: Architecture
    recipe: Recipe | None = None
    seeds: Annotated[list[int], Field(min_length=1, max_length=1024)]
    best_epochs: Annotated[list[_Epoch], Field(min_length=1)]
    n_epochs: _Epoch
    numerics: str
    learned_rows: str | None = None
    settled_epoch: Any = Field(default=None, exclude=True)
    still_falling: Any = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _the_epochs_fit(self) -> Self:
        if len(self.best_epochs) != len(self.seeds):
            raise ValueError(f"{len(self.seeds)} seeds, but {len(self.best_epochs)} best epochs")
        if max(self.best_epochs) > self.n_epochs:
            raise ValueError(f"an epoch is beyond the last, {self.n_epochs}")
        return self


class Checkpoint(NamedTuple):
    """A trained model: what `vintage predict` needs, and where it came from."""

    ensemble: Ensemble
    manifest: Manifest
    schema: Schema

    def predict_proba(self, features: Features) -> npt.NDArray[np.float64]:
        """See `Ensemble.predict_proba`."""
        return self.ensemble.predict_proba(features)


def write_checkpoint(folder: Path, ensemble: Ensemble, manifest: Manifest, schema: Schema) -> None:
    """Write `model.safetensors`, `model.json` and `schema.json` into `folder`."""
    state = {name: value.cpu().contiguous() for name, value in ensemble.state_dict().items()}
    write_bytes(folder / "model.safetensors", safetensors.torch.save(state))
    write_json(folder / "model.json", manifest.model_dump())
    write_schema(folder / "schema.json", schema)


def read_checkpoint(folder: Path, device: Device = "auto") -> Checkpoint:
    """Read what `write_checkpoint` wrote, in this release or an earlier one.

    Args:
        device: where to predict, see `choose_device`.

    Raises:
        InputError: a file is missing, cut, foreign, or does not fit the others.
    """
    schema = read_schema(folder / "schema.json")
    manifest = read_json(folder / "model.json", Manifest)
    numerics: Numerics = "fast" if manifest.numerics == "fast" else "exact"
    ensemble = load_ensemble(
        folder / "model.safetensors",
        manifest.model,
        schema,
        len(manifest.seeds),
        ARITHMETIC[numerics],
    )
    return Checkpoint(ensemble.to(choose_device(device, numerics)), manifest, schema)
