"""A virtual environment for each server, made once with pip and kept in a folder that git ignores."""

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.servers import ROOT

FOLDER = ROOT / "runs" / "benchmarks" / "environments"


class NotInstalled(Exception):
    """pip could not install a server; the text says why."""


def environment(name: str, requirements: Sequence[str]) -> Path:
    """Return the folder of an environment with these requirements, making it if there is none yet.

    Raises:
        NotInstalled: with pip's reason.
    """
    mark = hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:8]
    folder = FOLDER / f"{name}-{mark}"
    if not (folder / "complete").exists():
        print(f"installing {name} …", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        _install(folder, requirements)
        (folder / "complete").touch()
    return folder


def pinned(*names: str) -> list[str]:
    """Return the lines of ``requirements.txt`` for these packages: everybody gets what we have."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [line for line in lines if re.split(r"[=\[ ;]", line)[0] in names]


def megabytes_of_packages(folder: Path) -> float:
    """Return what the packages of an environment take on disk, without pip and what it brings."""
    site = next(folder.glob("lib/python*/site-packages"))
    files = (file for file in site.rglob("*") if file.is_file() and not file.is_symlink())
    kept = (file for file in files if not file.relative_to(site).parts[0].startswith(("pip", "setuptools")))
    return sum(file.stat().st_size for file in kept if file.suffix != ".pyc") / 1e6


def _install(folder: Path, requirements: Sequence[str]) -> None:
    command = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *requirements]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        errors = [line for line in run.stderr.splitlines() if line.startswith("ERROR")]
        raise NotInstalled((errors or run.stderr.strip().splitlines() or ["no reason given"])[-1])
