"""Several trainings as one: each ends with the bits that it has alone, in less than half the time.

A step of few rows costs little more for many replicas than for a few. What a replica computes does
not depend on those beside it, so trainings on other rows, or by other recipes, can share their
steps, as long as they have as many of them, and networks of one shape.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from vintage.base.recipe import Recipe
from vintage.network.ensemble import Ensemble
from vintage.network.replicas import Replicas
from vintage.training.blocks import Blocks
from vintage.training.fit import OF_REPLICAS, History, fit
from vintage.training.prepare import Training
from vintage.training.resume import State
from vintage.training.rows import Part

OF_MEMBERS = {"seed", "batch_size", *OF_REPLICAS}  # of a recipe: may differ between trainings
MAX_ROWS = 8_192  # of a step, by all replicas; beyond, there is nothing to gain


@dataclass(frozen=True)
class Pack(Part):
    """The rows of several trainings, with a fold for each of their replicas.

    Attributes:
        members: the part that each training has alone, and its number of replicas.
        recipes: of the trainings.
        orders: what each draws the order of its batches from.
    """

    members: Sequence[tuple[Part, int]]
    recipes: Sequence[Recipe]
    orders: Sequence[torch.Generator]

    @classmethod
    def of(
        cls,
        members: Sequence[tuple[Part, int]],
        recipes: Sequence[Recipe],
        orders: Sequence[torch.Generator],
    ) -> "Pack":
        """All rows of the members."""
        inputs = torch.cat([part.inputs for part, _ in members])
        labels = torch.cat([part.labels for part, _ in members])
        return cls(inputs, labels, *_side_by_side(members), members, recipes, orders)

    def judged(self, losses: Tensor) -> Tensor:
        of_members = zip(self.members, self.by_member(losses), strict=True)
        return torch.cat([part.judged(own) for (part, _), own in of_members])

    def is_over(self, stopped: Tensor) -> bool:
        """Whether one of the trainings is."""
        return any(bool(own.all()) for own in self.by_member(stopped))

    def by_member(self, values: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
        """What each training has of values whose dimension `dim` is that of all replicas."""
        return values.split([n_replicas for _, n_replicas in self.members], dim)

    def batches(self, size: int, generator: torch.Generator) -> list[Part]:  # noqa: ARG002
        """Side by side, the batches that each training has alone."""
        each = [
            part.batches(recipe.batch_size, order)
            for (part, _), recipe, order in zip(
                self.members, self.recipes, self.orders, strict=True
            )
        ]
        sizes = [n_replicas for _, n_replicas in self.members]
        return [
            Part(self.inputs, self.labels, *_side_by_side(list(zip(parts, sizes, strict=True))))
            for parts in zip(*each, strict=True)
        ]


class _Memory:
    """Keeps the state of a pack, of which those that are still learning go on."""

    def __init__(self) -> None:
        self.state: State = {}

    def load(self, expected: State) -> State | None:  # noqa: ARG002
        return self.state or None

    def save_now_and_then(self, state: Callable[[], State]) -> None:
        self.state = {name: tensor.clone() for name, tensor in state().items()}

    def take(self, replicas: Tensor) -> None:
        """Keep what belongs to these alone."""
        of_all = re.compile(r"epoch|batch_order|optimizer\.\d+\.(step\.\d+|powers)")
        for name, tensor in self.state.items():
            if not of_all.fullmatch(name):
                dim = 1 if name in ("train_losses", "val_losses") else 0
                self.state[name] = tensor.index_select(dim, replicas.to(tensor.device))


def train_all(trainings: Sequence[Training]) -> list[History]:
    """Train and calibrate every ensemble, those together that can be; returns what each one's `run`
    would.

    Raises:
        InputError: a loss is no longer finite.
    """
    alike: dict[Hashable, list[int]] = defaultdict(list)
    for place, training in enumerate(trainings):
        alike[_kind_of(training)].append(place)
    histories: dict[int, History] = {}
    for kind in alike.values():
        size = largest_pack(trainings[kind[0]])
        for start in range(0, len(kind), size):
            places = kind[start : start + size]
            done = _train_together([trainings[place] for place in places])
            histories |= zip(places, done, strict=True)
    return [histories[place] for place in range(len(trainings))]


def largest_pack(training: Training) -> int:
    """How many trainings such as this one gain by sharing their steps."""
    n_rows = min(training.recipe.batch_size, training.train.n_rows)
    return max(1, MAX_ROWS // (n_rows * training.ensemble.n_replicas))


def _kind_of(training: Training) -> Hashable:
    """Equal for trainings that can share their steps."""
    layers, recipe = training.ensemble.layers, training.recipe
    if layers.fitted:  # to the train rows, for all replicas alike
        return id(training)
    parts = _in_memory(training.train).batches(recipe.batch_size, torch.Generator())
    # rows that fill up a step, and are dropped out in another way, could change how it is rounded;
    # those of a validation do not, as long as sums of as many rows are rounded alike
    widths = [part.places.shape[1] for part in parts]
    val_bits = (training.val.n_rows - 1).bit_length() if training.val else None
    # shares that are dropped may differ; whether any is decides how the parameters are named
    dropout = float(layers.architecture.dropout > 0)
    architecture = layers.architecture.model_copy(update={"dropout": dropout})
    shape = repr(replace(layers.shape, architecture=architecture)), layers.arithmetic
    return *shape, recipe.model_dump_json(exclude=OF_MEMBERS), tuple(widths), val_bits


def _train_together(trainings: Sequence[Training]) -> list[History]:
    """Train all of them; the steps become smaller as one after the other ends."""
    if len(trainings) == 1:
        return [trainings[0].run()]
    memory = _Memory()
    histories: dict[int, History] = {}
    orders = [torch.Generator().manual_seed(training.recipe.seed) for training in trainings]
    learning = list(zip(trainings, orders, strict=True))
    while learning:
        layers = [training.ensemble.layers for training, _ in learning]
        train, packed, history = _train_until_one_ends(learning, _packed(layers), memory)
        is_last = len(history.train_losses) == learning[0][0].recipe.epochs
        stopped = train.by_member(memory.state["stopped"])
        is_over = [is_last or bool(own.all()) for own in stopped]
        losses = _by_member(history, train)
        for (training, _), own, done in zip(learning, losses, is_over, strict=True):
            if done:
                histories[id(training)] = own
        with torch.no_grad():
            for name, weight in packed.named_parameters():
                of_members = train.by_member(weight)
                for each, member, done in zip(layers, of_members, is_over, strict=True):
                    if done:
                        each.get_parameter(name).copy_(member)
        sizes = torch.tensor([each.n_replicas for each in layers])
        memory.take(torch.repeat_interleave(~torch.tensor(is_over), sizes).nonzero().flatten())
        learning = [each for each, done in zip(learning, is_over, strict=True) if not done]
    for training in trainings:
        training.calibrate()
    return [histories[id(training)] for training in trainings]


def _by_member(history: History, pack: Pack) -> list[History]:
    """The history of each training in a pack."""
    train = pack.by_member(history.train_losses, dim=1)
    val: Sequence[Tensor | None] = [None] * len(train)
    if history.val_losses is not None:
        val = pack.by_member(history.val_losses, dim=1)
    best_epochs = pack.by_member(history.best_epochs)
    return [History(*each) for each in zip(train, val, best_epochs, strict=True)]


def _train_until_one_ends(
    learning: Sequence[tuple[Training, torch.Generator]], layers: Replicas, memory: _Memory
) -> tuple[Pack, Replicas, History]:
    """Go on from what is in `memory`; returns the train rows, the layers with the weights of their
    best epochs so far, and the losses of all epochs."""
    trainings, orders = zip(*learning, strict=True)
    sizes = [training.ensemble.n_replicas for training in trainings]
    recipes = [training.recipe for training in trainings]
    of_all = list(zip(trainings, sizes, strict=True))
    train = Pack.of([(_in_memory(t.train), n) for t, n in of_all], recipes, orders)
    vals = [(_in_memory(t.val), n) for t, n in of_all if t.val is not None]
    history = fit(
        Ensemble(trainings[0].ensemble.encoder, layers),  # the rows are encoded already
        train,
        Pack.of(vals, recipes, orders) if vals else None,
        [recipe for recipe, n in zip(recipes, sizes, strict=True) for _ in range(n)],
        _class_weights(trainings),
        memory,
    )
    return train, layers, history


def _class_weights(trainings: Sequence[Training]) -> Tensor | None:
    """Of each replica, `[n_replicas, n_classes]`: 1 in a training without; None without any."""
    if all(training.class_weights is None for training in trainings):
        return None
    weights = []
    for training in trainings:
        own, layers = training.class_weights, training.ensemble.layers
        if own is None:
            own = torch.ones(1, layers.shape.n_classes, device=layers.seeds.device)
        folds = torch.arange(layers.n_replicas, device=own.device) % len(own)
        weights.append(own[folds])
    return torch.cat(weights)


def _in_memory(part: Part | Blocks) -> Part:
    assert isinstance(part, Part), "tables that are read in blocks are trained on alone"
    return part


def _packed(layers: Sequence[Replicas]) -> Replicas:
    """All replicas of networks of one shape, with their weights, as one network."""
    first = layers[0]
    n_replicas = sum(each.n_replicas for each in layers)
    packed = type(first)(first.shape, n_replicas, {}, first.arithmetic).to(first.seeds.device)
    packed.seeds.copy_(torch.cat([each.seeds for each in layers]))
    packed.dropout = [share for each in layers for share in each.dropout]
    with torch.no_grad():
        for name, weight in packed.named_parameters():
            weight.copy_(torch.cat([each.get_parameter(name) for each in layers]))
    return packed


def _side_by_side(members: Sequence[tuple[Part, int]]) -> tuple[Tensor, Tensor]:
    """The places of each replica's rows among all rows, and which of them are its own.

    What a replica lacks is filled up with the first row that it has.
    """
    width = max(part.places.shape[1] for part, _ in members)
    places, is_own, offset = [], [], 0
    for part, n_replicas in members:
        folds = torch.arange(n_replicas, device=part.places.device) % part.n_folds
        n_lacking = width - part.places.shape[1]
        found = part.places[folds] + offset
        places.append(torch.cat([found, found[:, :1].expand(-1, n_lacking)], dim=1))
        is_own.append(pad(part.is_own[folds], (0, n_lacking)))
        offset += len(part.labels)
    return torch.cat(places), torch.cat(is_own)
