"""``gateway-client`` as it is assembled from the server's sources. `make test-client` installs and runs it."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gateway.api.methods import Repeatable
from gateway.api.v1 import async_services, services
from gateway.control.access import NEEDS, Open
from gateway.domain.callers import Role
from scripts import client_dist, client_environments

READS_OF_ADMINISTRATORS = {"ListCallers", "ListAudit"}
"""Methods that change nothing, and still need more than the role of readers."""


@pytest.fixture(scope="module")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution's sources."""
    folder = tmp_path_factory.mktemp("client")
    client_dist.assemble(folder, "1.2.3")
    return folder


def sources(assembled: Path) -> dict[str, str]:
    """Its code, by path."""
    package = assembled / "src"
    return {str(path.relative_to(package)): path.read_text(encoding="utf-8") for path in package.rglob("*.py*")}


def imported(text: str) -> set[str]:
    """The top packages that code imports, wherever it does."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


def test_it_imports_what_it_declares(assembled: Path) -> None:
    """gRPC, protobuf and Google's own messages; Trio in the module for its users. Nothing of the server."""
    # The stubs have a branch for Pythons that are not supported.
    known = set(sys.stdlib_module_names) | {"typing_extensions"}
    found = {name: imported(text) - known for name, text in sources(assembled).items()}
    assert set().union(*found.values()) == {"gateway_client", "grpc", "google", "trio"}
    assert [name for name, names in found.items() if "trio" in names] == ["gateway_client/trio_gateway.py"]


def test_its_metadata_have_the_servers_version(assembled: Path) -> None:
    """And three dependencies."""
    project = tomllib.loads((assembled / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == "1.2.3"
    assert [re.split("[<>=]", each)[0] for each in project["dependencies"]] == [
        "grpcio",
        "protobuf",
        "googleapis-common-protos",
    ]


def test_no_version_of_protobuf_is_refused_by_its_messages(assembled: Path) -> None:
    """The compiler's check is gone, with all that belongs to it; the descriptors are as the server has them."""
    for name, text in sources(assembled).items():
        if name.endswith("_pb2.py"):
            assert "runtime_version" not in text
            assert "Protobuf Python Version" not in text
            server = (client_dist.ROOT / name.replace("gateway_client", "gateway")).read_text(encoding="utf-8")
            assert re.findall(r"AddSerializedFile\((.*)\)", text) == re.findall(r"AddSerializedFile\((.*)\)", server)


def test_its_stubs_need_no_others(assembled: Path) -> None:
    """protobuf brings none; a stub that imported it would make every field Any."""
    for name, text in sources(assembled).items():
        if name.endswith(".pyi"):
            assert "google" not in imported(text), name


def test_it_works_beside_the_server(assembled: Path) -> None:
    """In one process, of one version: both have the same messages."""
    code = (
        "from gateway.api.v1 import event_pb2; from gateway_client import v1; "
        "print(event_pb2.Event.FromString(v1.Event(event_id='1').SerializeToString()).event_id)"
    )
    path = f"{assembled / 'src'}:{client_dist.ROOT}"
    result = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert (result.stdout, result.stderr) == ("1\n", "")


def repeatables(text: str) -> dict[str, str]:
    """By the path of each method in the code of services, whether it may be repeated."""
    return dict(re.findall(r'Method\("([^"]+)", .*?Repeatable\.(\w+)\)', text))


def test_reads_are_those_that_a_reader_may_do() -> None:
    """Only they, and what has a request id, are repeated where nothing is known of a call."""
    for module in (services, async_services):
        found = repeatables(Path(str(module.__file__)).read_text(encoding="utf-8"))
        ours = {
            f"/{service}/{method}": need
            for service, methods in NEEDS.items()
            if service.startswith("gateway.")
            for method, need in methods.items()
        }
        assert found.keys() == ours.keys()
        reads = {path for path, kind in found.items() if kind == Repeatable.READ.name}
        assert {path for path, need in ours.items() if need in (Role.READ, Open.TO_CALLERS)} == {
            path for path in reads if path.rpartition("/")[2] not in READS_OF_ADMINISTRATORS
        }


def test_its_tests_import_no_helper_that_is_left_behind() -> None:
    """They run in an environment that has the wheel, and of this repository's tests what is copied beside it."""
    copied = client_environments.tests()
    names = {".".join(path.relative_to(client_environments.ROOT).with_suffix("").parts) for path in copied}
    wanted = {
        node.module
        for path in copied
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("tests.")
    }
    assert wanted, "the rule has something to hold"
    assert wanted - names == set()
