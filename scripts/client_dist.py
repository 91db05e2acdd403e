"""Assembles and builds ``gateway-client``, a distribution of its own, from the sources that the server has too.

The package is ``gateway_client``: ``gateway/client`` and ``gateway/api`` under another name, so that it can be
installed beside the server. The messages' code is freed from what ties it to one major version of protobuf: what
remains is to the byte what the oldest supported compiler makes (`make test-client` holds that), and runs with each
later one.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "clients" / "python"

LEFT_OUT = ("client.py", "bearer.py")
"""Of ``gateway/client``: the client of the command line, which has the services' raw stubs."""

MARK = "  # not in gateway-client"
"""Ends a line of the sources that the distribution does not have."""

HEADER = re.compile(r"^# (?:NO CHECKED-IN PROTOBUF GENCODE|Protobuf Python Version: .*)\n", re.MULTILINE)
CHECK = re.compile(
    r"^from google\.protobuf import runtime_version as _runtime_version\n|"
    r"^_runtime_version\.ValidateProtobufRuntimeVersion\(\n(?:    .*\n)+\)\n",
    re.MULTILINE,
)
"""The compiler's own lines that refuse a protobuf of two major versions later. What they stand before has been the same
since 5.26."""

STUBS = re.compile(
    r"^from google\.protobuf(?:\.internal)? import "
    r"(?:descriptor|message|containers|enum_type_wrapper|timestamp_pb2|duration_pb2|field_mask_pb2) as (\w+)$",
    re.MULTILINE,
)


def renamed(text: str) -> str:
    """Source code with the names of the distribution's package, without the lines that are marked."""
    lines = [line for line in text.splitlines(keepends=True) if MARK not in line]
    return "".join(lines).replace("gateway.api", "gateway_client.api").replace("gateway.client", "gateway_client")


def imports_renamed(text: str) -> str:
    """Generated code with the distribution's names in its imports alone: names of services stay as they are."""
    return re.sub(r"^(from|import) gateway\.api", r"\1 gateway_client.api", text, flags=re.MULTILINE)


def freed(text: str) -> str:
    """The code of messages, without what the compiler adds to hold it to one major version of protobuf."""
    return HEADER.sub("", CHECK.sub("", text))


def typed(text: str) -> str:
    """The stubs of messages, with the types of ``protobuf_types`` in place of protobuf's, which has none of its own."""
    return STUBS.sub(r"from gateway_client import protobuf_types as \1", imports_renamed(text))


def assemble(folder: Path, version: str) -> None:
    """Write the distribution's sources into an empty folder."""
    metadata = (CLIENT / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(
        metadata.replace('version = "0"', f'version = "{version}"'), encoding="utf-8"
    )
    shutil.copy(CLIENT / "README.md", folder)
    shutil.copy(ROOT / "LICENSE", folder)
    package = folder / "src" / "gateway_client"
    v1 = package / "api" / "v1"
    v1.mkdir(parents=True)
    for path in sorted((ROOT / "gateway" / "client").glob("*.py")):
        if path.name not in LEFT_OUT:
            _write(package / path.name, renamed(path.read_text(encoding="utf-8")))
    for stub in sorted(CLIENT.glob("*.pyi")):
        shutil.copy(stub, package)
    (package / "py.typed").touch()
    for name in ("__init__.py", "methods.py"):
        _write(package / "api" / name, renamed((ROOT / "gateway" / "api" / name).read_text(encoding="utf-8")))
    for path in sorted((ROOT / "gateway" / "api" / "v1").glob("*.py*")):
        if "_pb2_grpc" in path.name:
            continue
        text = path.read_text(encoding="utf-8")
        _write(v1 / path.name, typed(text) if path.suffix == ".pyi" else freed(imports_renamed(text)))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def build(folder: Path, version: str, command: list[str], environment: dict[str, str]) -> None:
    """Build sources and wheel of the distribution into a folder, by ``command``, which takes that folder."""
    with tempfile.TemporaryDirectory() as made:
        assemble(Path(made), version)
        subprocess.run([*command, str(folder)], cwd=made, env=environment, check=True, stdout=subprocess.DEVNULL)
