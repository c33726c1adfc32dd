"""Vintage's training beside its peers', who do the same work in turns: ratios in one run.

    python -m benchmarks.peers               about five minutes; leave the machine alone meanwhile

The peers are installed into build/peers, an environment of their own. It fails if a peer's loss
after training is not Vintage's within 5 %: then it did other work.
"""

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
VENV = ROOT / "build" / "peers"
PINNED = sorted((ROOT / "requirements").glob("*.txt"))
PEERS = ["skorch==1.4.0", "lightning==2.6.6", "lightgbm==4.7.0"]

LARGEST_DIFFERENCE = 0.05
MATRIX_PRODUCTS = "matrix products alone"


@dataclass(frozen=True)
class Race:
    """One work, and what Vintage should reach in it.

    Attributes:
        unit: `seconds`, of which the ratio is Vintage's by the other's; or `million rows/s`,
            which is better the larger it and the ratio are.
        targets: by the other's name.
    """

    work: str
    rounds: int
    unit: str
    targets: dict[str, float]


RACES = [
    Race("wine", 5, "seconds", {"bare PyTorch loop": 1.1}),
    Race(
        "large",
        2,
        "million rows/s",
        {"DataLoader loop": 30, "skorch": 10, "lightning": 10, MATRIX_PRODUCTS: 0.5},
    ),
]


def main() -> None:
    python = install()
    agree = True
    for race in RACES:
        command = [str(python), "-m", "benchmarks.peers.race"]
        command += [race.work, str(race.rounds)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        result = json.loads(done.stdout.splitlines()[-1])
        show(race, result)
        agree = check_losses(result["losses"]) and agree
    sys.exit(not agree)


def install() -> Path:
    """The Python of an environment with the pinned packages and the peers."""
    python = VENV / "bin" / "python"
    stamp = VENV / "installed"
    pinned = b"".join(path.read_bytes() for path in PINNED)
    wanted = hashlib.sha256(pinned + repr(PEERS).encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {', '.join(PEERS)} and requirements/ into {VENV}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
        # if the environment is broken, pip must not install into the Python that it is based on
        pip = [str(python), "-m", "pip", "--require-virtualenv", "--disable-pip-version-check"]
        files = [f"--requirement={path}" for path in PINNED]
        subprocess.run([*pip, "install", "--quiet", *files, *PEERS], check=True)
        stamp.write_text(wanted)
    return python


def show(race: Race, result: dict[str, Any]) -> None:
    """A table of what each contestant reached in its fastest round."""
    print(f"\n{result['work']}\n")
    print(f"| what | {race.unit} | Vintage / it | to reach | final train loss |")
    print("|---|---|---|---|---|")
    in_seconds = race.unit == "seconds"
    lines: dict[str, float] = result["seconds"]
    if not in_seconds:
        lines = {name: result["rows"] / seconds / 1e6 for name, seconds in lines.items()}
        lines[MATRIX_PRODUCTS] = result["matmul_rows_per_second"] / 1e6
    for name, value in lines.items():
        ratio = lines["Vintage"] / value
        target = race.targets.get(name)
        aim = "" if target is None else verdict(ratio, target, "<=" if in_seconds else ">=")
        loss = f"{result['losses'][name]:.4f}" if name in result["losses"] else ""
        print(f"| {name} | {value:.3f} | {ratio:.2f} | {aim} | {loss} |")
    if not in_seconds:
        rate = result["lightgbm_rows_times_trees_per_second"] / 1e6
        print(f"\nFor orientation, LightGBM: {rate:.3f} million rows times trees a second.")
    print(f"\nThe fastest of {race.rounds} rounds, in which every line takes its turn.", flush=True)


def verdict(ratio: float, target: float, sign: str) -> str:
    reached = ratio <= target if sign == "<=" else ratio >= target
    return f"{sign} {target:g}: {'reached' if reached else 'missed'}"


def check_losses(losses: dict[str, float]) -> bool:
    """Say by how much the losses differ from Vintage's at most; whether that is little enough."""
    differences = {name: loss / losses["Vintage"] - 1 for name, loss in losses.items()}
    worst = max(differences, key=lambda name: abs(differences[name]))
    agree = abs(differences[worst]) <= LARGEST_DIFFERENCE
    print(
        f"The final train losses are Vintage's within {LARGEST_DIFFERENCE:.0%}: "
        f"{'yes' if agree else 'NO'}; the farthest is that of {worst}, "
        f"by {differences[worst]:+.1%}."
    )
    return agree


if __name__ == "__main__":
    main()
