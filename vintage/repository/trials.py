"""Settings that Optuna proposes, by what those before them have shown.

They are proposed a pack at a time, and trained together. Optuna's journal is the record: a search
that was killed goes on with the proposals that have no result yet.
"""

import json
from collections.abc import Mapping
from typing import Any

from vintage.base.console import InputError, say
from vintage.repository.grid import Range, Values
from vintage.repository.params_file import Key, with_values
from vintage.repository.search import Search

try:
    import optuna
    from optuna.distributions import (
        BaseDistribution,
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import TrialState
except ImportError:
    raise InputError("--trials needs Optuna; run `pip install optuna`") from None

JOURNAL = "data/resume/sweep.journal"
AT_ONCE = 16  # settings that are proposed before the next result is known
DIGITS = 4  # of a number that is proposed

Space = Mapping[Key, Range | list[Any]]


def run_trials(search: Search, space: Space, n_trials: int) -> None:
    """Have so many settings proposed in all, and train them.

    Proposals follow from `train.seed` and the results so far, so a search that was interrupted ends
    as any other. Source of the sampler: Bergstra, Bardenet, Bengio and Kegl, Algorithms for
    Hyper-Parameter Optimization, NeurIPS 2011.

    Raises:
        InputError: an end of a range is impossible, or no setting could be trained.
    """
    for key, axis in space.items():
        for value in axis[:2] if isinstance(axis, Range) else axis:
            with_values(search.text, {key: value})
    study = _study(search, space)
    seed = search.lock["stages"]["train"]["params"]["params.yaml"]["train"]["seed"]
    distributions = {".".join(key): _distribution(axis) for key, axis in space.items()}
    while True:
        trials = study.get_trials(deepcopy=False)
        due = [trial.number for trial in trials if trial.state == TrialState.RUNNING]
        if not due and len(trials) >= n_trials:
            break
        if not due:
            study.sampler = optuna.samplers.TPESampler(seed=(seed + len(trials)) % 2**32)
            n_asked = min(AT_ONCE, n_trials - len(trials))
            due = [study.ask(distributions).number for _ in range(n_asked)]
        proposed = [study.get_trials(deepcopy=False)[number].params for number in due]
        losses = search.train([_values(space, params) for params in proposed])
        for number, loss in zip(due, losses, strict=True):
            state = None if loss is not None else TrialState.FAIL
            # another search of the same may have told it
            study.tell(number, loss, state, skip_if_finished=True)
        say(f"{due[-1] + 1} of {n_trials} trials")
    if not any(trial.state == TrialState.COMPLETE for trial in trials):
        raise InputError("no setting could be trained")


def _study(search: Search, space: Space) -> optuna.Study:
    """That of HEAD and this space."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = search.root / JOURNAL
    path.parent.mkdir(parents=True, exist_ok=True)
    name = {".".join(key): axis for key, axis in space.items()}
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(path))),
        study_name=f"{search.base} {json.dumps(name, sort_keys=True)}",
        load_if_exists=True,
    )


def _distribution(axis: Range | list[Any]) -> BaseDistribution:
    if not isinstance(axis, Range):
        return CategoricalDistribution([json.dumps(value) for value in axis])
    if axis.is_whole:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.is_log)
    return FloatDistribution(axis.low, axis.high, log=axis.is_log)


def _values(space: Space, params: Mapping[str, Any]) -> Values:
    """A proposal as `params.yaml` has it."""
    return {key: _value(axis, params[".".join(key)]) for key, axis in space.items()}


def _value(axis: Range | list[Any], proposed: Any) -> Any:
    if not isinstance(axis, Range):
        return json.loads(proposed)
    if axis.is_whole:
        return proposed
    return min(axis.high, max(axis.low, float(f"{proposed:.{DIGITS}g}")))
