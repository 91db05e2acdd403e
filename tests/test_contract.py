"""The contract as others take it: options for their languages, what is released, and that no release breaks it."""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

from scripts import dist

ROOT = Path(__file__).resolve().parent.parent
API = Path("gateway", "api", "v1")
BUF = ROOT / "node_modules" / ".bin" / "buf"
PROTOS = sorted(path.name for path in (ROOT / "protos" / API).glob("*.proto"))


def descriptors(text: bytes) -> dict[str, descriptor_pb2.FileDescriptorProto]:
    found = descriptor_pb2.FileDescriptorSet.FromString(text)
    return {file.name: file for file in found.file}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released archive of the contract, unpacked into an empty folder."""
    folder = tmp_path_factory.mktemp("protos")
    dist.unpack(dist.protos_archive(folder, 0), folder)
    return folder / f"gateway-protos-{dist.version()}"


def test_every_proto_has_options_for_each_language() -> None:
    """The same in each, so that one import path, package or namespace holds all generated code. Objective-C has no
    namespaces, and a prefix picked at random would be worse than none."""
    shipped = descriptors((ROOT / API / dist.DESCRIPTORS).read_bytes())
    ours = [file for name, file in shipped.items() if name.startswith("gateway/")]
    assert sorted(Path(file.name).name for file in ours) == PROTOS
    for file in ours:
        options = file.options
        assert options.go_package == "gateway.internal/api/v1;gatewayv1"
        assert options.java_package == "internal.gateway.api.v1"
        assert options.java_multiple_files
        assert options.csharp_namespace == "Gateway.Api.V1"
        assert not options.HasField("objc_class_prefix")


def test_a_compiler_needs_the_archive_alone(unpacked: Path, tmp_path: Path) -> None:
    """From its .proto files protoc makes the descriptor set that lies beside them."""
    made = tmp_path / "made.binpb"
    arguments = [f"--proto_path={unpacked}", f"--proto_path={files('grpc_tools') / '_proto'}", "--include_imports"]
    sources = [str(API / name) for name in PROTOS]
    assert protoc.main(["protoc", *arguments, f"--descriptor_set_out={made}", *sources]) == 0
    assert made.read_bytes() == (unpacked / dist.DESCRIPTORS).read_bytes()


def test_the_archive_is_a_buf_module(unpacked: Path) -> None:
    """Teams that generate with buf take it as it lies there."""
    if not BUF.is_file():
        pytest.skip("buf is not installed")
    subprocess.run([str(BUF), "build", "."], cwd=unpacked, check=True, capture_output=True)


def test_the_archive_holds_the_whole_contract(unpacked: Path) -> None:
    """Each .proto as it is in the repository, and a descriptor set that says the same, with its imports."""
    assert sorted(path.name for path in (unpacked / API).iterdir()) == PROTOS
    for name in PROTOS:
        assert (unpacked / API / name).read_bytes() == (ROOT / "protos" / API / name).read_bytes()
    shipped = descriptors((unpacked / dist.DESCRIPTORS).read_bytes())
    assert {str(API / name) for name in PROTOS} < shipped.keys()
    assert {each for file in shipped.values() for each in file.dependency} <= shipped.keys()


def test_archives_of_the_same_sources_are_the_same(tmp_path: Path) -> None:
    """To the byte; and their checksums are those of what lies there."""
    first = dist.protos_archive(tmp_path, 1_700_000_000)
    text = first.read_bytes()
    assert dist.protos_archive(tmp_path, 1_700_000_000).read_bytes() == text
    (tmp_path / "other").write_bytes(b"x")
    lines = dist.checksums(tmp_path).read_text(encoding="utf-8").splitlines()
    assert lines == [
        f"{hashlib.sha256(text).hexdigest()}  {first.name}",
        f"{hashlib.sha256(b'x').hexdigest()}  other",
    ]


def test_wheel_and_sources_hold_the_protos(tmp_path: Path) -> None:
    """A client generator finds them below site-packages, as they import each other; so does a build from sources."""
    copy = tmp_path / "repository"
    copy.mkdir()
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "buf.yaml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "protos", copy / "protos")
    shutil.copytree(ROOT / API, copy / API, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-c", dist.BUILD, str(tmp_path)],
        cwd=copy,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert {str(API / name) for name in PROTOS} <= packed
    assert str(API / dist.DESCRIPTORS) in packed
    (sources,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sources) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"protos/{API / name}" for name in PROTOS} | {"setup.py", "buf.yaml"} <= inside


# --- what may change ------------------------------------------------------------------------------------------


def breaking(protos: Path) -> subprocess.CompletedProcess[str]:
    """``buf breaking`` of a copy against the contract of the last release, as `make lint` runs it."""
    if not BUF.is_file():
        pytest.skip("buf is not installed")
    command = [str(BUF), "breaking", ".", "--against", str(ROOT / "protos" / "contract.binpb")]
    return subprocess.run(command, cwd=protos, capture_output=True, text=True, check=False)


@pytest.fixture
def protos(tmp_path: Path) -> Path:
    """A copy of the Buf module."""
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    return tmp_path


def changed(protos: Path, name: str, old: str, new: str) -> None:
    path = protos / "protos" / API / name
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_present_contract_breaks_no_released_one(protos: Path) -> None:
    """Fields were added since, at most."""
    result = breaking(protos)
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  string event_id = 1;\n  // Identity of the charge point.", "  // Identity of the charge point."),
        ("  bytes resume_token = 4;\n  }\n  // True", "  bytes resume_token = 14;\n  }\n  // True"),
    ],
    ids=["a field is gone", "a field has another number"],
)
def test_a_change_that_breaks_clients_is_noticed(protos: Path, old: str, new: str) -> None:
    """Those that were generated from the released contract would misread, or miss, what is sent."""
    changed(protos, "event.proto", old, new)
    result = breaking(protos)
    assert result.returncode != 0
    assert "event.proto" in result.stdout


def test_a_field_more_breaks_nothing(protos: Path) -> None:
    """It is how the contract grows."""
    changed(protos, "event.proto", "message Event {\n", "message Event {\n  // A test's.\n  string more = 999;\n")
    assert breaking(protos).returncode == 0


def test_lint_compares_with_the_contract() -> None:
    """And no target but `contract` renews what it compares with."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = dict(each.split("\n", 1) for each in makefile.split("\n.PHONY: ")[1:])
    named = {name for name, recipe in targets.items() if "contract.binpb" in recipe}
    assert named == {"lint", "contract"}
    assert "buf breaking --against protos/contract.binpb" in targets["lint"]
    assert "protos/contract.binpb\n" in targets["contract"].partition("cp ")[2]
