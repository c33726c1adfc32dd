"""A checkpoint as a `vintage.predict.model.Network`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from vintage.base.tensors import Features, Schema
from vintage.network.checkpoint import read_checkpoint
from vintage.network.ensemble import Ensemble, choose_device
from vintage.predict.locate import numerics_of


@dataclass(frozen=True)
class TorchModel:
    """The replicas of a checkpoint, on the device that they were evaluated on."""

    schema: Schema
    ensemble: Ensemble
    device: torch.device

    def predict_proba(self, features: Features) -> npt.NDArray[np.float64]:
        """See `vintage.predict.model.Network`."""
        inputs = torch.from_numpy(features).to(self.device)
        return self.ensemble.predict_proba(inputs).cpu().numpy()


def read_torch(folder: Path) -> TorchModel:
    ensemble, _, schema = read_checkpoint(folder)
    device = choose_device("auto", numerics_of(folder))
    return TorchModel(schema, ensemble.to(device), device)
