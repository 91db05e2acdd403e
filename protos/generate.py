"""Generates gateway/api/v1 (messages, services, type stubs) from the .proto files beside this script.

Run by `make protos` for the repository, and by tests/test_repository.py into an empty folder to see that the committed
code is what the .proto files say. A proto's path below protos/ is its Python path too, so the generated modules import
each other as they lie, with no search path to adjust.
"""

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
PACKAGE = Path("gateway", "api", "v1")


def generate(out: Path) -> int:
    """Writes the code of all protos below `out`, removing what a deleted proto left there; answers protoc's status."""
    for stale in (out / PACKAGE).glob("*_pb2*.py*"):
        stale.unlink()
    sources = sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / PACKAGE).glob("*.proto"))
    # The plugins are installed beside the interpreter, which need not be on PATH.
    tools = Path(sys.executable).parent
    status: int = protoc.main(
        [
            "protoc",
            f"--proto_path={PROTOS}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            f"--plugin=protoc-gen-mypy={tools / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={tools / 'protoc-gen-mypy_grpc'}",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            f"--mypy_out=quiet:{out}",
            f"--mypy_grpc_out=quiet:{out}",
            *sources,
        ]
    )
    return status


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python protos/generate.py OUTPUT_FOLDER")
    sys.exit(generate(Path(sys.argv[1]).resolve()))
