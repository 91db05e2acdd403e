"""Tests ``gateway-client`` as `make dist` builds it, in an environment of its own for each major version of protobuf.

    python scripts/client_environments.py DIST [--only 5]

An environment has the locked packages of ``requirements-client-N.lock`` and the wheel. Two sets of tests run in it:
``tests/client``, with the package's name in place of ``gateway.client``, and ``clients/python/environment``. Last, the
oldest supported compiler makes the messages' code, which has to be the wheel's, to the byte.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import client_dist, environments  # noqa: E402 - the folder is no package that is installed
from scripts.environments import install  # noqa: E402

PROTOBUFS = ("5", "6", "7")
ENVIRONMENTS = ROOT / ".clients"
CHECKS = ROOT / "clients" / "python" / "environment"
SETTINGS = "[pytest]\naddopts = -q -p no:cacheprovider\nfilterwarnings = error\nfaulthandler_timeout = 60\n"


TIMEOUT = 240.0
"""Seconds for the tests of an environment, which take some 20: one that hangs is to be seen."""


def environment(name: str) -> Path:
    """The Python of an environment with the packages of its lock, made anew where the lock has changed."""
    return environments.environment(ENVIRONMENTS / name, ROOT / f"requirements-client-{name}.lock")


def tests() -> list[Path]:
    """The files of ``tests/client``, and of the helpers that they import."""
    return [*sorted((ROOT / "tests" / "client").glob("*.py")), ROOT / "tests" / "support" / "syncing.py"]


def test(python: Path, protobuf: str, wheel: Path) -> None:
    """Run both sets of tests with the wheel in an environment."""
    install(python, "--no-deps", "--reinstall", str(wheel))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text(SETTINGS, encoding="utf-8")
        shutil.copytree(CHECKS, folder, dirs_exist_ok=True)
        for path in tests():
            copy = folder / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(client_dist.renamed(path.read_text(encoding="utf-8")), encoding="utf-8")
        command = [str(python), "-I", "-c", "import sys, pytest; sys.path.insert(0, ''); sys.exit(pytest.main())"]
        print(f"protobuf {protobuf}:", flush=True)
        subprocess.run([*command, "--protobuf", protobuf], cwd=folder, check=True, timeout=TIMEOUT)


def compare(wheel: Path) -> None:
    """Hold the wheel's messages against what the oldest supported compiler makes. Raises SystemExit."""
    python = environment("compiler")
    with tempfile.TemporaryDirectory() as name, zipfile.ZipFile(wheel) as packed:
        sources = sorted(str(path.relative_to(ROOT / "protos")) for path in (ROOT / "protos").rglob("*.proto"))
        command = [str(python), "-m", "grpc_tools.protoc", f"--proto_path={ROOT / 'protos'}", f"--python_out={name}"]
        subprocess.run([*command, *sources], check=True)
        for path in sorted(Path(name).rglob("*_pb2.py")):
            made = client_dist.freed(client_dist.imports_renamed(path.read_text(encoding="utf-8")))
            if packed.read(f"gateway_client/api/v1/{path.name}").decode() != made:
                raise SystemExit(f"{path.name} is not what the oldest supported compiler makes of its .proto file")
        print(f"{len(sources)} modules are what the oldest supported compiler makes", flush=True)


def main() -> None:
    """Test the client."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dist", type=Path)
    parser.add_argument("--only", choices=PROTOBUFS)
    arguments = parser.parse_args()
    [wheel] = arguments.dist.resolve().glob("gateway_client-*.whl")
    for protobuf in [arguments.only] if arguments.only else PROTOBUFS:
        test(environment(protobuf), protobuf, wheel)
    compare(wheel)


if __name__ == "__main__":
    main()
