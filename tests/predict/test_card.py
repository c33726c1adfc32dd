"""A model with its card, ready to be given away."""

import json

import pytest
import yaml

from tests.conftest import WINE, Project, only_error

pytestmark = pytest.mark.slow
CARD = ("python", "-m", "vintage", "card")


def test_the_folder_predicts_and_its_card_has_the_scores(reproduced: Project) -> None:
    assert reproduced.run(*CARD, "gift").stdout == "gift: the model, and its card in README.md\n"
    card = (reproduced.root / "gift/README.md").read_text(encoding="utf-8")
    _, metadata, text = card.split("---\n", 2)
    (model,) = yaml.safe_load(metadata)["model-index"]
    (result,) = model["results"]
    assert (model["name"], result["dataset"]["name"]) == ("quality", "wine.csv")
    details = json.loads((reproduced.root / "metrics/details.json").read_text())
    told = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert told == {name: details["test"][name] for name in told}
    assert {"accuracy", "log_loss", "roc_auc_ovr"} < set(told)
    assert "| alcohol | numeric |" in text

    predict = ("python", "-m", "vintage", "predict", str(WINE))
    ours = reproduced.run(*predict).stdout
    (reproduced.root / "gift/README.md").unlink()
    assert reproduced.run(*predict, "--model", "gift").stdout == ours


def test_nothing_is_overwritten(reproduced: Project) -> None:
    error = only_error(reproduced.run(*CARD, "metrics", check=False))
    assert error == "error: metrics: exists already; name a new folder"


def test_scores_of_another_model_are_refused(reproduced: Project) -> None:
    reproduced.edit("params.yaml", "learning_rate: auto", "learning_rate: 0.02")
    error = only_error(reproduced.run(*CARD, "gift", check=False))
    assert error.startswith("error: the scores may be of another model: stage train is not up to")
    assert not (reproduced.root / "gift").exists()
