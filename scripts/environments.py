"""Environments of their own for tools and tests whose packages must not be among those that the tests run with.

A package that is merely there can change what others do: one of the release's tools brings validators that
``jsonschema`` then imports, which takes each start of a gateway a second longer.
"""

import shutil
import subprocess
import sys
from pathlib import Path

UV = Path(sys.executable).parent / "uv"


def environment(folder: Path, lock: Path) -> Path:
    """The Python of an environment in ``folder`` with the packages of ``lock``, made anew where that has changed."""
    python, stamp = folder / "bin" / "python", folder / ".lock"
    if not stamp.is_file() or stamp.read_bytes() != lock.read_bytes():
        print(f"Installing {lock.name} into {folder.name}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([str(UV), "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        install(python, "--require-hashes", "--only-binary", ":all:", "--requirement", str(lock))
        stamp.write_bytes(lock.read_bytes())
    return python


def install(python: Path, *arguments: str) -> None:
    """Install into an environment."""
    subprocess.run([str(UV), "pip", "install", "--quiet", "--python", str(python), *arguments], check=True)
