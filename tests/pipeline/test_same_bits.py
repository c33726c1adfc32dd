"""The same bytes whatever the machine, its cores, its settings and its user are."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest
from fontTools.ttLib import TTFont

from benchmarks.platforms import restore
from tests.conftest import ROOT, Project, environment, stage_here

pytestmark = pytest.mark.slow

needs_taskset = pytest.mark.skipif(
    shutil.which("taskset") is None and "CI" not in os.environ, reason="taskset is not installed"
)
EMULATORS = ("qemu-x86_64", "qemu-aarch64", "apt-get")
needs_emulators = pytest.mark.skipif(
    not all(map(shutil.which, EMULATORS)) and "CI" not in os.environ,
    reason="qemu-user or Debian's apt-get is not installed",
)
HOSTILE = {
    "LC_ALL": "C",
    "LANG": "tr_TR.UTF-8",
    "TZ": "Asia/Kathmandu",
    "PYTHONHASHSEED": "7",
    "PYTHONUTF8": "0",
    "COLUMNS": "20",
    "OMP_NUM_THREADS": "7",
    "OMP_DYNAMIC": "true",
    "MKL_NUM_THREADS": "3",
    "MKL_CBWR": "AVX2",
    "MKL_DYNAMIC": "TRUE",
    "MKL_ENABLE_INSTRUCTIONS": "AVX512",
    "ATEN_CPU_CAPABILITY": "default",  # a processor without AVX-512 would stop at that
    "OPENBLAS_NUM_THREADS": "2",
    "OPENBLAS_CORETYPE": "Sandybridge",
    "NPY_DISABLE_CPU_FEATURES": "",
    "MPLBACKEND": "no-such-backend",
    "CUDA_VISIBLE_DEVICES": "0",
}


def hostile_home(folder: Path) -> dict[str, str]:
    """A user whose matplotlib has other settings, and another font by the name of the default."""
    settings = folder / ".config/matplotlib"
    settings.mkdir(parents=True)
    rc = settings / "matplotlibrc"
    rc.write_text("font.size: 23\nlines.linewidth: 9\nfigure.facecolor: red\nsavefig.dpi: 33\n")
    font = TTFont(Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSansMono.ttf")
    for record in font["name"].names:
        if record.nameID in (1, 16):
            record.string = "DejaVu Sans"
    for place in (".fonts", ".local/share/fonts"):
        (folder / place).mkdir(parents=True)
        font.save(folder / place / "DejaVuSans.ttf")
    return {"HOME": str(folder), "MATPLOTLIBRC": str(rc), "MPLCONFIGDIR": str(settings)}


@needs_taskset
def test_a_hostile_environment_and_home_and_another_directory(
    reproduced: Project, tmp_path: Path
) -> None:
    """At once: on one core as well, and with another umask, file times and order."""
    before = reproduced.outputs()
    for path in reproduced.root.rglob("*"):
        if path.is_file() and ".dvc" not in path.parts and ".git" not in path.parts:
            os.utime(path, (10**9, 10**9))
    force = "umask 077 && taskset -c 0 dvc --cd ../.. repro --force --no-run-cache"
    done = subprocess.run(
        ["bash", "-c", force],
        cwd=reproduced.root / "metrics/figures",
        env=environment() | HOSTILE | hostile_home(tmp_path / "home"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert reproduced.outputs() == before


@needs_taskset
def test_mini_batches_patience_and_calibration_are_the_same_on_one_core(fresh: Project) -> None:
    fresh.set_params(**{"train.batch_size": 64, "train.patience": 5, "train.replicas": 20})
    fresh.set_params(**{"train.epochs": 15, "train.calibration": "temperature"})
    fresh.set_params(**{"model.activation": "silu", "model.scaling_layer": True})
    fresh.stage("split", check=True)
    fresh.stage("train", check=True)
    before = fresh.outputs()
    fresh.run("taskset", "-c", "0", "python", "-m", "stages.train", env=HOSTILE)
    assert "data/checkpoint/model.safetensors" in before
    assert fresh.outputs() == before


@needs_emulators
@pytest.mark.parametrize(
    ("platform", "stages"), [("arm64", ["split", "train"]), ("Haswell", ["train"])]
)
def test_a_foreign_cpu_gives_the_same_bytes(platform: str, stages: list[str]) -> None:
    """Emulated, with a short training: ARM64, and Intel without AVX-512."""
    command = [sys.executable, "-m", "benchmarks.platforms", "--platforms", platform]
    command += ["--recipes", "default", "--epochs", "2", "--set", "train.replicas=2"]
    command += ["--stages", *stages]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{platform:20} equal" in done.stdout


def test_the_comparison_of_platforms_names_what_differs(
    reproduced: Project, tmp_path: Path
) -> None:
    other = reproduced.copy_to(tmp_path / "other")
    changed, missing, new = (
        other.root / name
        for name in ("metrics/losses.json", "data/checkpoint/schema.json", "data/checkpoint/new")
    )
    changed.write_bytes(changed.read_bytes() + b" ")
    missing.unlink()
    new.touch()
    differing = sorted(str(path.relative_to(other.root)) for path in (changed, missing, new))
    assert restore(other, reproduced, "train") == differing
    assert restore(other, reproduced, "train") == []


def test_pin_refuses_to_come_too_late(fresh: Project) -> None:
    code = "import numpy; from vintage.base import numerics; numerics.pin()"
    done = fresh.run(sys.executable, "-c", code, check=False)
    assert "pin() comes too late: numpy is loaded already" in done.stderr


def test_fast_numerics_say_so(reproduced: Project) -> None:
    reproduced.set_params(**{"train.numerics": "fast", "train.epochs": 3})
    stage_here(reproduced.root, "train", "evaluate", "explain", "report")
    evaluation = (reproduced.root / "metrics/details.json").read_text(encoding="utf-8")
    assert '"numerics": "fast"' in evaluation
    assert "The numerics were fast" in (reproduced.root / "metrics/report.md").read_text()
