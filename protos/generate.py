"""Generates gateway/api/v1 (messages, services, stubs, descriptor set, OpenAPI) from the .proto files beside this.

Run by `make protos` for the repository, and by tests/test_repository.py into an empty folder to see that the committed
code is what the .proto files say. A proto's path below protos/ is its Python path too, so the generated modules import
each other as they lie, with no search path to adjust.
"""

import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
sys.path.insert(0, str(PROTOS.parent))

from protos import openapi, services  # noqa: E402 - the folder is no package that is installed

PACKAGE = Path("gateway", "api", "v1")
DESCRIPTORS = "descriptors.binpb"
"""The whole contract as a ``google.protobuf.FileDescriptorSet``, with all that it imports: for tools without protoc."""


def generate(out: Path) -> int:
    """Writes the code of all protos below `out`, removing what a deleted proto left there; answers protoc's status."""
    for stale in (out / PACKAGE).glob("*_pb2*.py*"):
        stale.unlink()
    (out / PACKAGE).mkdir(parents=True, exist_ok=True)
    sources = sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / PACKAGE).glob("*.proto"))
    # The plugins are installed beside the interpreter, which need not be on PATH.
    tools = Path(sys.executable).parent
    search = ["protoc", f"--proto_path={PROTOS}", f"--proto_path={files('grpc_tools') / '_proto'}"]
    status: int = protoc.main(
        [
            *search,
            f"--plugin=protoc-gen-mypy={tools / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={tools / 'protoc-gen-mypy_grpc'}",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            f"--mypy_out=quiet:{out}",
            f"--mypy_grpc_out=quiet:{out}",
            "--include_imports",
            f"--descriptor_set_out={out / PACKAGE / DESCRIPTORS}",
            *sources,
        ]
    )
    if status == 0:
        with tempfile.TemporaryDirectory() as folder:
            described = Path(folder, DESCRIPTORS)  # the released set has no comments
            protoc.main([*search, "--include_source_info", f"--descriptor_set_out={described}", *sources])
            descriptors = FileDescriptorSet.FromString(described.read_bytes())
        services.write(descriptors, ".".join(PACKAGE.parts), out / PACKAGE)
        openapi.write(descriptors, ".".join(PACKAGE.parts), out / PACKAGE)
    return status


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python protos/generate.py OUTPUT_FOLDER")
    sys.exit(generate(Path(sys.argv[1]).resolve()))
