"""The network beside other models on public tables: ranks, losses, and where it is behind.

    python -m benchmarks.tables                        all of them: hours on two cores
    python -m benchmarks.tables --part held-out        those that the defaults were not chosen by
    python -m benchmarks.tables --part draws           120, 300 and 800 train rows of the others
    python -m benchmarks.tables --only mroz digits     some of them
    python -m benchmarks.tables --rivals lightgbm      beside the baselines
    python -m benchmarks.tables --set model.name=tabm  with other parameters than the default ones

Each table is split five times, by the seeds from 0 on, as the stage `split` does it; of large
tables at most 10,000 rows are train and validation rows, and at most 20,000 are test rows. All
models learn from the same rows: those that need no validation rows from all that are no test rows.
The packages that the tables and the models of others come in are installed into environments of
their own, in `build/tables`. What those models predicted is kept there, and used again.

Log losses are divided by that of always predicting the train rows' shares of the classes.
"""

import argparse
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cross_validate import changed
from benchmarks.public_tables import DEVELOPMENT, HELD_OUT, PACKAGES, TABLES, Table
from benchmarks.rivals import RIVALS
from vintage.base import console, numerics
from vintage.base.params import Params, load_params

if TYPE_CHECKING:
    from vintage.base.tensors import Schema
    from vintage.scores.rows import Floats

BUILD = Path(__file__).resolve().parent.parent / "build" / "tables"
RIVALS_FILE = Path(__file__).with_name("rivals.txt")
RIVALS_PYTHON = BUILD / "rivals" / "bin" / "python"
N_SPLITS = 5
MAX_TRAIN, MAX_TEST = 10_000, 20_000
DRAWS = (120, 300, 800)
FEW_ROWS = 1_024
NETWORK, MAJORITY = "network", "majority_class"
BASELINES = ["logistic_regression", "svc", "random_forest", "hist_gradient_boosting"]
BEST_OF = ["logistic_regression", "random_forest", "hist_gradient_boosting"]


@dataclass(frozen=True)
class Task:
    """A table, or some rows of it, on one split.

    Attributes:
        n_drawn: how many train rows are drawn; 0 for the usual share.
    """

    table: Table
    n_drawn: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.table.name}/{self.n_drawn}" if self.n_drawn else self.table.name

    def params(self, params: Params) -> Params:
        from vintage.table.split import FOLDED_ROWS

        split: dict[str, Any] = {"seed": self.seed}
        usual = round(0.8 * self.table.rows)
        n_known = min(self.n_drawn or usual, MAX_TRAIN)
        if n_known < usual:
            # the split of a table of so many rows and a quarter more, but for more rows to test
            val_size = params.split.val_size
            if val_size == "auto":
                val_size = "folds" if n_known <= 0.8 * FOLDED_ROWS else 0.1
            split["val_size"] = val_size if val_size == "folds" else val_size * n_known / usual
            split["test_size"] = 1 - n_known / self.table.rows
        source = {
            "path": str(csv_path(self.table)),
            "target": self.table.target,
            "ignore": list(self.table.ignore),
        }
        return params.model_copy(
            update={
                "data": params.data.model_copy(update=source),
                "split": params.split.model_copy(update=split),
            }
        )


@dataclass(frozen=True)
class Scored:
    """A task's scores: by model the log loss and the accuracy on the test rows."""

    task: Task
    n_train: int
    n_test: int
    n_features: int
    n_classes: int
    log_loss: dict[str, float]
    accuracy: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--part", choices=["all", "development", "held-out", "draws"])
    parser.add_argument("--only", nargs="+", metavar="TABLE", choices=list(TABLES))
    parser.add_argument("--set", nargs="+", metavar="KEY=VALUE", default=[], dest="changes")
    parser.add_argument("--rivals", nargs="*", choices=list(RIVALS), default=list(RIVALS))
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--record", type=Path, help="keeps scores, so that a later call goes on")
    arguments = parser.parse_args()
    part = arguments.part or "all"
    tables = {
        "all": list(TABLES.values()),
        "development": DEVELOPMENT,
        "held-out": HELD_OUT,
        "draws": DEVELOPMENT,
    }[part]
    if arguments.only:
        tables = [table for table in tables if table.name in arguments.only]
    tasks = list(tasks_of(tables, DRAWS if part == "draws" else (0,)))
    write_csv(tables)
    if arguments.rivals:
        install("rivals", ["--no-deps", *RIVALS_FILE.read_text(encoding="utf-8").split()])
    os.environ["OMP_NUM_THREADS"] = "1"  # the workers share the cores
    with ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool:
        found = recorded(arguments.record) if arguments.record else {}
        jobs = {
            task: pool.submit(score, task, arguments.changes, arguments.rivals)
            for task in tasks
            if task not in found
        }
        for task, job in jobs.items():
            if scored := job.result():
                print(task.name, task.seed, relative([scored]), file=sys.stderr, flush=True)
                found[task] = scored
                if arguments.record:
                    record(scored, arguments.record)
    report([found[task] for task in tasks if task in found])


def record(scored: Scored, path: Path) -> None:
    task = scored.task
    values = vars(scored) | {"task": [task.table.name, task.n_drawn, task.seed]}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(values) + "\n")


def recorded(path: Path) -> dict[Task, Scored]:
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        values = json.loads(line)
        name, n_drawn, seed = values.pop("task")
        task = Task(TABLES[name], n_drawn, seed)
        found[task] = Scored(task=task, **values)
    return found


def tasks_of(tables: Sequence[Table], draws: Sequence[int]) -> Iterator[Task]:
    for table in tables:
        for n_drawn in draws:
            if n_drawn < 0.5 * table.rows:
                yield from (Task(table, n_drawn, seed) for seed in range(N_SPLITS))


def write_csv(tables: Sequence[Table]) -> None:
    """Write the tables into `build/tables`, all in one process, and only those that lack."""
    missing = [table.name for table in tables if not csv_path(table).is_file()]
    if missing:
        python = install("venv", PACKAGES)
        script = Path(__file__).with_name("public_tables.py")
        subprocess.run([python, script, BUILD, *missing], check=True)


def csv_path(table: Table) -> Path:
    return BUILD / f"{table.name}.csv"


def install(name: str, packages: Sequence[str]) -> Path:
    """The Python of an environment with these packages."""
    folder = BUILD / name
    python, stamp = folder / "bin" / "python", folder / "installed"
    wanted = "\n".join(packages)
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, *packages], check=True)
        stamp.write_text(wanted)
    return python


def score(task: Task, changes: Sequence[str], rivals: Sequence[str]) -> Scored | None:
    """Split a table, train every model and score it; None if the pipeline refuses the table."""
    if "numpy" not in sys.modules:
        numerics.pin()
    import numpy as np

    from benchmarks.training import predict_network
    from vintage.scores.baselines import UnaffordableError, predict_baseline
    from vintage.scores.metrics import score as metrics_of
    from vintage.table.dataset import load_dataset
    from vintage.table.sharing import examples_of, schema_of, share_out

    params = task.params(changed(load_params(), list(changes)))
    try:
        data = load_dataset(params.data, params.split)
        shared = share_out(data, params.data.kinds, params.split)
    except console.InputError as error:
        print(f"{task.name}: {error}", file=sys.stderr)
        return None
    schema, parts = schema_of(data, shared, params.data), examples_of(data, shared)
    train, val, test = parts["train"], parts["val"], parts["test"]
    tested = np.random.default_rng(task.seed).permutation(len(test.labels))[:MAX_TEST]
    test_features, test_labels = test.features[tested], test.labels[tested]
    learned = np.concatenate([train.features, val.features])
    labels = np.concatenate([train.labels, val.labels])
    n_classes = len(schema.classes)

    predicted = {
        NETWORK: predict_network(
            params,
            schema,
            (train.features, train.labels),
            (val.features, val.labels),
            train.folds,
            test_features,
        )
    }
    rows = {"train": learned, "labels": labels, "test": test_features}
    store = Store(rows, schema)
    for name in [MAJORITY, *BASELINES]:
        given = name, schema.features, learned, labels, test_features, n_classes
        with contextlib.suppress(UnaffordableError):
            predicted[name] = store.get(name, partial(predict_baseline, *given))
    for name in rivals:
        predicted[name] = store.get(name, partial(predict_rival, name, rows, schema))
    metrics = {name: metrics_of(test_labels, p) for name, p in predicted.items()}
    return Scored(
        task=task,
        n_train=len(labels),
        n_test=len(test_labels),
        n_features=len(schema.features),
        n_classes=n_classes,
        log_loss={name: float(each["log_loss"] or 0) for name, each in metrics.items()},
        accuracy={name: float(each["accuracy"] or 0) for name, each in metrics.items()},
    )


class Store:
    """What models of others predicted, by the rows that they were given."""

    def __init__(self, rows: Mapping[str, Any], schema: "Schema") -> None:
        digest = hashlib.sha256(schema.model_dump_json().encode())
        for values in rows.values():
            digest.update(values.tobytes())
        self.folder = BUILD / "predicted"
        self.key = digest.hexdigest()[:20]

    def get(self, name: str, predict: Callable[[], "Floats"]) -> "Floats":
        from safetensors.numpy import load_file, save_file

        path = self.folder / f"{self.key}-{name}.safetensors"
        if not path.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".tmp")
            save_file({"probabilities": predict()}, partial)
            partial.rename(path)
        return load_file(path)["probabilities"]


def predict_rival(name: str, rows: Mapping[str, Any], schema: "Schema") -> "Floats":
    """Train a model of another package, in the environment that has it."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    is_category = np.array([feature.categories is not None for feature in schema.features])
    about = {"is_category": is_category, "n_classes": np.array([len(schema.classes)])}
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "given", Path(folder) / "found"
        save_file({**rows, **about}, given)
        script = Path(__file__).with_name("rivals.py")
        command = [str(each) for each in (RIVALS_PYTHON, script, name, given, found)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
        return load_file(found)["probabilities"]


def report(found: Sequence[Scored]) -> None:
    """Print the ranks of few and of many rows, then a line for each table."""
    by_name: dict[str, list[Scored]] = {}
    for scored in found:
        by_name.setdefault(scored.task.name, []).append(scored)
    for title, is_few in ((f"Up to {FEW_ROWS:,} train rows", True), ("Beyond", False)):
        tables = [s for s in by_name.values() if (s[0].n_train <= FEW_ROWS) == is_few]
        if tables:
            console.say(f"\n{title}: {len(tables)} tables\n")
            show_ranks(tables)
    show_tables(by_name)


def show_tables(by_name: dict[str, list[Scored]]) -> None:
    means = {name: relative(splits) for name, splits in by_name.items()}
    models = list(dict.fromkeys(model for losses in means.values() for model in losses))
    header = ["table", "train rows x columns", "classes", *map(_title, models)]
    header += ["network minus the best of LR, RF, HGB"]
    console.say(f"\n| {' | '.join(header)} |")
    console.say(f"|{' --- |' * len(header)}")
    verdicts = []
    for name, splits in by_name.items():
        difference, verdict = beside_the_best(splits)
        verdicts.append(verdict)
        losses = [f"{means[name][m]:.3f}" if m in means[name] else "" for m in models]
        first = splits[0]
        cells = [name, f"{first.n_train:,} x {first.n_features}", str(first.n_classes), *losses]
        console.say(f"| {' | '.join([*cells, ', '.join(filter(None, [difference, verdict]))])} |")
    for verdict in ("ahead", "behind"):
        console.say(f"\nsignificantly {verdict}: {verdicts.count(verdict)} of {len(verdicts)}")


def relative(splits: Sequence[Scored]) -> dict[str, float]:
    """Each model's mean log loss over the splits, divided by that of the class shares."""
    import numpy as np

    names = [name for name in splits[0].log_loss if name != MAJORITY]
    return {
        name: float(np.mean([s.log_loss[name] / s.log_loss[MAJORITY] for s in splits]))
        for name in names
        if all(name in s.log_loss for s in splits)
    }


def show_ranks(tables: Sequence[Sequence[Scored]]) -> None:
    """Mean rank, mean loss and mean accuracy of the models that were trained on all tables.

    p is that of Wilcoxon's signed-rank test on the losses of the network and the model.
    """
    import numpy as np
    from scipy.stats import rankdata, wilcoxon

    losses = [relative(splits) for splits in tables]
    models = [name for name in losses[0] if all(name in each for each in losses)]
    table = np.array([[each[name] for name in models] for each in losses])
    accuracy = np.array(
        [[np.mean([s.accuracy[name] for s in splits]) for name in models] for splits in tables]
    )
    ranks = rankdata(table, axis=1).mean(axis=0)
    ours = models.index(NETWORK)
    console.say("| model | mean rank | log loss / majority's | p | accuracy | network minus it |")
    console.say("| --- | --- | --- | --- | --- | --- |")
    for index in np.argsort(ranks):
        p, difference = "", ""
        if index != ours:
            p = f"{wilcoxon(table[:, ours], table[:, index]).pvalue:.3f}"
            apart = accuracy[:, ours] - accuracy[:, index]
            difference = f"{apart.mean():+.4f}"
            if len(apart) > 1:
                difference += f" ± {apart.std(ddof=1) / np.sqrt(len(apart)):.4f}"
        console.say(
            f"| {_title(models[index])} | {ranks[index]:.2f} | {table[:, index].mean():.4f} | {p} "
            f"| {accuracy[:, index].mean():.4f} | {difference} |"
        )


def beside_the_best(splits: Sequence[Scored]) -> tuple[str, str]:
    """The network's log loss minus the best one's with its standard error, and what that shows.

    Train rows overlap from split to split, which the error allows for. Source: Nadeau and Bengio,
    Inference for the Generalization Error, Machine Learning 52, 2003.
    """
    import numpy as np
    from scipy.stats import t

    losses = {name: np.array([s.log_loss[name] for s in splits]) for name in (NETWORK, *BEST_OF)}
    best = min(BEST_OF, key=lambda name: losses[name].mean())
    apart = losses[NETWORK] - losses[best]
    inflated = 1 / len(apart) + splits[0].n_test / splits[0].n_train
    error = np.sqrt(apart.var(ddof=1) * inflated)
    is_shown = abs(apart.mean()) > t.ppf(0.975, len(apart) - 1) * error
    verdict = ("behind" if apart.mean() > 0 else "ahead") if is_shown else ""
    return f"{apart.mean():+.3f} ± {error:.3f}", verdict


def _title(model: str) -> str:
    return {
        "logistic_regression": "LR",
        "random_forest": "RF",
        "hist_gradient_boosting": "HGB",
        "svc": "SVC",
        "catboost": "CatBoost",
        "lightgbm": "LightGBM",
        "realmlp": "RealMLP",
        "tabm": "TabM",
    }.get(model, model)


if __name__ == "__main__":
    main()
