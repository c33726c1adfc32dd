"""Make an ARM64 Python that runs here, emulated by QEMU: Debian's packages and ARM64's wheels.

    python -m benchmarks.arm64 -c "import torch; print(torch.__version__)"
    python -m benchmarks.arm64 -m stages.split

Needs Debian 12 with `qemu-user`. What it downloads, about 300 MB, stays in `folder()`.
"""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vintage.base import console

ROOT = Path(__file__).resolve().parent.parent
EMULATOR = "qemu-aarch64"
TORCH = "2.8.0"  # later wheels for ARM64 want CUDA's libraries
PYTHON = "3.11"  # Debian 12's
DEBIAN = [
    *("libbz2-1.0", "libc6", "libcrypt1", "libdb5.3", "libexpat1", "libffi8", "libgcc-s1"),
    *("libgomp1", "liblzma5", "libncursesw6", "libnsl2", "libpython3.11-minimal"),
    *("libpython3.11-stdlib", "libreadline8", "libsqlite3-0", "libssl3", "libstdc++6"),
    *("libtinfo6", "libtirpc3", "libuuid1", "python3.11", "python3.11-minimal", "zlib1g"),
]
PLATFORMS = ("manylinux2014", "manylinux_2_17", "manylinux_2_27", "manylinux_2_28")


def main() -> None:
    os.environ.update(environment())
    command = prepare()
    os.execvp(command[0], [*command, *sys.argv[1:]])


def prepare() -> list[str]:
    """Download and unpack what is not there yet; the command that runs the ARM64 Python.

    Raises:
        InputError: the emulator is missing, or a download failed; the next call goes on from there.
    """
    if shutil.which(EMULATOR) is None:
        raise console.InputError(f"{EMULATOR} is not installed; Debian's package is qemu-user")
    root, site, ready = (folder() / name for name in ("root", "site", "ready"))
    contents = "\n".join([*DEBIAN, *wheels()])
    if not ready.exists() or ready.read_text(encoding="utf-8") != contents:
        for path in (root, site):
            shutil.rmtree(path, ignore_errors=True)
        for package in download_packages():
            run("dpkg", "-x", str(package), str(root))
        for wheel in download_wheels():
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)
        ready.write_text(contents, encoding="utf-8")  # the last step: a cut one leaves no such file
    return [EMULATOR, "-L", str(root), str(root / f"usr/bin/python{PYTHON}")]


def environment() -> dict[str, str]:
    return {"PYTHONPATH": str(folder() / "site")}


def folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "vintage-platforms/arm64"


def wheels() -> list[str]:
    """What to ask pip for: all that the stages import and what it requires, as it is pinned."""
    pins = pinned() | {"torch": TORCH}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    wanted, found = wanted - {"dvc"}, set[str]()
    while wanted:
        name = wanted.pop()
        found.add(name)
        required = map(Requirement, importlib.metadata.requires(name) or [])
        needed = {
            canonicalize_name(each.name)
            for each in required
            if each.marker is None or each.marker.evaluate({"extra": ""})
        }
        wanted |= (needed & pins.keys()) - found  # CUDA's libraries are not pinned
    return [f"{name}=={pins[name]}" for name in sorted(found)]


def pinned() -> dict[str, str]:
    """Versions by package, as in `requirements/`."""
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "requirements").iterdir())
    pins = re.findall(r"(?m)^([\w.-]+)==(\S+)", text)
    return {canonicalize_name(name): version for name, version in pins}


def download_packages() -> list[Path]:
    """Debian's packages; apt compares their hashes with its index."""
    debs, apt = folder() / "debs", folder() / "apt"
    shutil.rmtree(debs, ignore_errors=True)
    for path in (debs, apt / "lists/partial", apt / "archives/partial"):
        path.mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "root",
        "Dir::Cache": apt,
        "Dir::State": apt,
        "Dir::State::status": apt / "status",
    }
    options = [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]
    run("apt-get", *options, "update", cwd=debs)
    run("apt-get", *options, "download", *DEBIAN, cwd=debs)
    return sorted(debs.glob("*.deb"))


def download_wheels() -> list[Path]:
    """PyPI's wheels; pip compares those that are there with the hashes of its index."""
    wanted = folder() / "wheels"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(wanted)]
    command += ["--no-deps", "--only-binary=:all:", f"--python-version={PYTHON}"]
    command += ["--implementation=cp", *(f"--platform={name}_aarch64" for name in PLATFORMS)]
    run(*command, *wheels())
    return sorted(wanted.glob("*.whl"))


def run(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise console.InputError(f"{command[0]} failed: {tail[0]}")


if __name__ == "__main__":
    console.run(main)
