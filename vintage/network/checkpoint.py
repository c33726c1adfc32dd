"""The checkpoint folder: weights, what they are, and the schema; the folder alone can predict."""

from pathlib import Path
from typing import Annotated, Any, Self

import safetensors.torch
from pydantic import Field, model_validator

from vintage.base.files import Strict, read_json, write_bytes, write_json
from vintage.base.recipe import Architecture, Recipe
from vintage.base.tensors import Schema, read_schema, write_schema
from vintage.network.ensemble import Ensemble, load_ensemble

_Epoch = Annotated[int, Field(ge=1, le=1_000_000)]


class Manifest(Strict):
    """`model.json`: what the weights are and how they came about.

    Attributes:
        model: the architecture.
        recipe: how the weights were trained.
        seeds: of each replica's initial weights.
        best_epochs: of each replica, from 1: the epoch whose weights it kept.
        n_epochs: how many were trained.
        still_falling: whether the last tenth of all the epochs that `recipe` allows lowered the
            validation loss by more than 2 %.
        numerics: what `vintage.base.numerics.pin` reached.
    """

    model: Architecture
    recipe: Recipe
    seeds: Annotated[list[int], Field(min_length=1, max_length=1024)]
    best_epochs: Annotated[list[_Epoch], Field(min_length=1)]
    n_epochs: _Epoch
    still_falling: bool
    numerics: str

    @model_validator(mode="before")
    @classmethod
    def _earlier_checkpoints_are_read(cls, content: Any) -> Any:
        if isinstance(content, dict):
            return {key: value for key, value in content.items() if key != "settled_epoch"}
        return content

    @model_validator(mode="after")
    def _the_epochs_fit(self) -> Self:
        if len(self.best_epochs) != len(self.seeds):
            raise ValueError(f"{len(self.seeds)} seeds, but {len(self.best_epochs)} best epochs")
        if max(self.best_epochs) > self.n_epochs:
            raise ValueError(f"an epoch is beyond the last, {self.n_epochs}")
        return self


def write_checkpoint(folder: Path, ensemble: Ensemble, manifest: Manifest, schema: Schema) -> None:
    """Write `model.safetensors`, `model.json` and `schema.json` into `folder`."""
    state = {name: value.cpu().contiguous() for name, value in ensemble.state_dict().items()}
    write_bytes(folder / "model.safetensors", safetensors.torch.save(state))
    write_json(folder / "model.json", manifest.model_dump())
    write_schema(folder / "schema.json", schema)


def read_checkpoint(folder: Path) -> tuple[Ensemble, Manifest, Schema]:
    """Read what `write_checkpoint` wrote.

    Raises:
        InputError: a file is missing, cut, foreign, or does not fit the others.
    """
    schema = read_schema(folder / "schema.json")
    manifest = read_json(folder / "model.json", Manifest)
    ensemble = load_ensemble(
        folder / "model.safetensors", manifest.model, schema, n_replicas=len(manifest.seeds)
    )
    return ensemble, manifest, schema
