"""Builds what is released: wheel and sources of the gateway and of its client, the protos with their descriptor set,
the examples, and the checksums of all.

    python scripts/dist.py OUTPUT_FOLDER

The same sources give the same bytes, if SOURCE_DATE_EPOCH says from when they are (unset: the last commit's time).
"""

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import client_dist  # noqa: E402 - the folder is no package that is installed

API = Path("gateway", "api", "v1")
DESCRIPTORS = "descriptors.binpb"
OPENAPI = "openapi.json"

BUF_MODULE = "version: v2\nmodules:\n  - path: .\n"
"""Makes the unpacked archive a Buf module."""

LEFT_BY_RUNS = {"__pycache__", "node_modules", "dist", "gen", "gatewayv1", "charge"}
"""Names of files and folders that building an example makes."""

BUILD = "import sys, setuptools.build_meta as b; to = sys.argv.pop(); b.build_sdist(to); b.build_wheel(to)"
"""What a build front end does, with the setuptools that is installed: nothing is resolved or downloaded."""


def version() -> str:
    """The version in the metadata."""
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return str(metadata["project"]["version"])


def source_time() -> int:
    """The time that files in archives get, in seconds since 1970."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is not None:
        return int(given)
    command = ["git", "log", "-1", "--format=%ct"]
    try:
        shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0  # not a git checkout
    return int(shown)


def protos_archive(folder: Path, at: int) -> Path:
    """Write the archive of the contract: .proto files, descriptor set, OpenAPI document, license. Unpacked it is a Buf
    module."""
    top = f"gateway-protos-{version()}"
    files = {
        "buf.yaml": BUF_MODULE.encode(),
        "LICENSE": (ROOT / "LICENSE").read_bytes(),
        DESCRIPTORS: (ROOT / API / DESCRIPTORS).read_bytes(),
        OPENAPI: (ROOT / API / OPENAPI).read_bytes(),
        **{str(API / path.name): path.read_bytes() for path in (ROOT / "protos" / API).glob("*.proto")},
    }
    path = folder / f"{top}.tar.gz"
    path.write_bytes(_packed({f"{top}/{name}": text for name, text in files.items()}, at))
    return path


def examples_archive(folder: Path, at: int) -> Path:
    """Write the archive of the examples in Python, Go and TypeScript, without what running them leaves behind."""
    top = f"gateway-examples-{version()}"
    root = ROOT / "examples" / "clients"
    paths = [
        path for path in root.rglob("*") if path.is_file() and not LEFT_BY_RUNS & set(path.relative_to(root).parts)
    ]
    files = {"LICENSE": (ROOT / "LICENSE").read_bytes()}
    files |= {str(path.relative_to(root)): path.read_bytes() for path in paths}
    path = folder / f"{top}.tar.gz"
    path.write_bytes(_packed({f"{top}/{name}": text for name, text in files.items()}, at))
    return path


def _packed(files: Mapping[str, bytes], at: int) -> bytes:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(files[name]), at
            archive.addfile(entry, io.BytesIO(files[name]))
    return gzip.compress(tar.getvalue(), mtime=at)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive that was built here into a folder. Python has filters for that from 3.11.4 on."""
    with tarfile.open(archive) as packed:
        if hasattr(tarfile, "data_filter"):
            packed.extraction_filter = tarfile.data_filter
        packed.extractall(folder)


def packages(folder: Path, at: int) -> None:
    """Build sources and wheels of the gateway and of its client into a folder."""
    for left in ("build", "gateway.egg-info"):  # of an earlier build: what was deleted since would be packed
        shutil.rmtree(ROOT / left, ignore_errors=True)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(at)}
    command = [sys.executable, "-c", BUILD]
    subprocess.run([*command, str(folder)], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    client_dist.build(folder, version(), command, environment)


def checksums(folder: Path) -> Path:
    """Write the SHA-256 of each file of a folder, for ``sha256sum --check``."""
    path = folder / "SHA256SUMS"
    path.unlink(missing_ok=True)
    files = sorted(each for each in folder.iterdir() if each.is_file())
    lines = [f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}\n" for each in files]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def build(folder: Path) -> None:
    """Build everything into a folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    at = source_time()
    packages(folder, at)
    protos_archive(folder, at)
    examples_archive(folder, at)
    print(checksums(folder).read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/dist.py OUTPUT_FOLDER")
    build(Path(sys.argv[1]).resolve())
