"""What the scores come to, in sentences: for `vintage show` and the report."""

from collections.abc import Iterator, Mapping, Sequence

from vintage.base.console import one_line
from vintage.report.rivals import Rivals
from vintage.scores.evaluation import RARE_ROWS, Epochs, Evaluation, Scores

MAJORITY = "majority_class"
LOW_RECALL = 0.5
LONGEST_NAME = 30
WORDS = {"better": "beats", "no difference": "ties with", "worse": "loses to"}


def best_rival(baselines: Mapping[str, Scores]) -> str | None:
    """The baseline with the lowest log loss, the majority class aside."""
    losses = [(s["log_loss"] or 0.0, name) for name, s in baselines.items() if name != MAJORITY]
    return min(losses)[1] if losses else None


def verdict(
    evaluation: Evaluation, baselines: Mapping[str, Scores], rivals: Rivals
) -> Iterator[str]:
    """How the network does beside its best rival and the majority class; one or two sentences."""
    log_loss = {name: paired["log_loss"].verdict for name, paired in rivals.models.items()}
    named = [name for name, found in log_loss.items() if found == "worse"]
    named += [name for name in (best_rival(baselines), MAJORITY) if name in log_loss]
    beside = [f"{WORDS[log_loss[name]]} {model_in_words(name)}" for name in dict.fromkeys(named)]
    if beside:
        yield f"{', '.join(beside)} (log loss, {evaluation.n_rows} test rows)"
    if MAJORITY in rivals.models and MAJORITY in baselines:
        yield from _beside_majority(evaluation, baselines[MAJORITY].get("accuracy") or 0.0, rivals)


def _beside_majority(evaluation: Evaluation, accuracy: float, rivals: Rivals) -> Iterator[str]:
    """A warning where the network is hardly worth asking.

    Args:
        accuracy: of the majority class of the train rows: its share of the test rows, where another
            one may be more frequent.
    """
    paired = rivals.models[MAJORITY]
    if paired["accuracy"].verdict == "better":
        return
    where = "in accuracy " if paired["log_loss"].verdict == "better" else ""
    shares = {name: e.support / evaluation.n_rows for name, e in evaluation.classes.items()}
    majority = min(shares, key=lambda name: abs(shares[name] - accuracy))
    sentence = f"{where}not better than always saying {quoted(majority)}"
    found = [(each.recall, name) for name, each in evaluation.classes.items()]
    if recalls := [(recall, name) for recall, name in found if recall is not None]:
        lowest, name = min(recalls)
        sentence += f"; recall of {quoted(name)} {lowest:.2f}"
        if lowest < LOW_RECALL:
            sentence += "; see train.class_weight"
    yield sentence


def few_rows(evaluation: Evaluation) -> str | None:
    """The classes with too few test rows to say much; None if every class has enough."""
    supports = {name: each.support for name, each in evaluation.classes.items()}
    rare = [f"{quoted(name)} ({n})" for name, n in supports.items() if n < RARE_ROWS]
    if not rare:
        return None
    effect = "have no interval where one is 0" if 0 in supports.values() else "have wide intervals"
    return (
        f"classes with fewer than {RARE_ROWS} test rows: {listed(rare)}; means over the classes "
        f"{effect}"
    )


def curve_in_words(epochs: Epochs) -> str:
    """Where the training led, and what to do if it ended too early."""
    if epochs.best is None:
        return f"no validation rows; the weights are those of the last epoch, {epochs.trained}"
    if epochs.still_falling:
        return (
            f"the validation loss was still falling at the last of {epochs.trained} epochs; more "
            "of them, or lower model.dropout or train.weight_decay, may help"
        )
    return f"best epoch {epochs.best} of {epochs.trained}, where the mean validation loss is lowest"


def listed(names: Sequence[str], longest: int = 8) -> str:
    rest = f" and {len(names) - longest} more" if len(names) > longest else ""
    return ", ".join(names[:longest]) + rest


def capitalized(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def model_in_words(name: str) -> str:
    words = name.replace("_", " ")
    return f"the {words}" if name == MAJORITY else words


def quoted(name: str) -> str:
    """A class's name on one line, in quotes, and cut if it is long."""
    shown = one_line(name)
    return f"'{shown if len(shown) <= LONGEST_NAME else shown[: LONGEST_NAME - 3] + '...'}'"
