"""The networks by name, as `model.name` has it."""

from vintage.base.console import InputError
from vintage.network.mlp import MLP
from vintage.network.replicas import Replicas
from vintage.network.tabm import TabM

NETWORKS: dict[str, type[Replicas]] = {
    "mlp": MLP,
    "tabm": TabM,
}


def network_of(name: str, source: str = "params.yaml: model.name") -> type[Replicas]:
    """The network of this name; InputError with `source` if there is none."""
    if name not in NETWORKS:
        raise InputError(f"{source}: found {name[:100]!r}; allowed is {' or '.join(NETWORKS)}")
    return NETWORKS[name]
