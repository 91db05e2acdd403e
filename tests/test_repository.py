"""Promises of the repository itself: it names no machine and no registry, its locks are whole, its code generated."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock")
ALL_LOCKS = (
    *LOCKS,
    "requirements-fuzz.lock",
    "requirements-audit.lock",
    "requirements-release.lock",
    "requirements-docs.lock",
    "requirements-examples.lock",
)
CLIENT_LOCKS = tuple(f"requirements-client-{name}.lock" for name in ("5", "6", "7", "compiler"))
GENERATED = Path("gateway", "api", "v1")

# Written in parts, so that this file passes its own test.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("maven", "org"),
        ("maven", "apache", "org"),
        ("deb", "debian", "org"),
    )
]
# A folder of one machine: the root user's home, another user's home, the work tree of a build machine.
MACHINE_PATH = re.compile(r"(?<![\w.:/<>-])/(root|work|farm|(home|Users)/[a-z]+)/")


def tracked_files() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is no list of tracked files")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def lines_with(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {match.group()}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if (match := pattern.search(line))
    ]


def locked(path: Path) -> dict[str, tuple[str, int]]:
    """The packages of a lock: name → (version, number of digests)."""
    entries = re.split(r"\n(?=\S)", path.read_text(encoding="utf-8"))
    pins: dict[str, tuple[str, int]] = {}
    for entry in entries:
        if match := re.match(r"([A-Za-z0-9._-]+)==(\S+)", entry):
            pins[canonicalize_name(match[1])] = (match[2], len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry)))
    return pins


def declared(*groups: str) -> list[Requirement]:
    """The requirements in pyproject.toml: the project's own, and those of the dependency groups named."""
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    entries = list(metadata["project"]["dependencies"]) if "project" in groups else []
    for group in groups:
        entries += [each for each in metadata["dependency-groups"].get(group, []) if isinstance(each, str)]
    return [Requirement(each) for each in entries]


def test_no_tracked_file_names_a_package_registry() -> None:
    """The source of packages is the installing machine's setting."""
    pattern = re.compile("|".join(map(re.escape, REGISTRIES)))
    assert lines_with(pattern, tracked_files()) == []


def test_no_tracked_file_names_a_folder_of_a_machine() -> None:
    """Nothing depends on the place of a checkout."""
    assert lines_with(MACHINE_PATH, tracked_files()) == []


@pytest.mark.parametrize("parts", [("", "root", "x"), ("open('", "work", "main"), ("", "home", "ann", "x")])
def test_a_folder_of_a_machine_is_recognised(parts: tuple[str, ...]) -> None:
    """The check above can fail."""
    assert MACHINE_PATH.search("/".join(parts))


@pytest.mark.parametrize("parts", [("https:", "", "a.org", "work", "1"), ("gateway", "work", "x"), ("", "var", "lib")])
def test_other_paths_are_not_taken_for_a_machines(parts: tuple[str, ...]) -> None:
    """Addresses, paths of the project and paths of an installation are fine."""
    assert not MACHINE_PATH.search("/".join(parts))


@pytest.mark.parametrize("name", ALL_LOCKS + CLIENT_LOCKS)
def test_a_lock_has_a_digest_for_every_package_and_no_address(name: str) -> None:
    """pip can verify every file it installs, and the lock doesn't say where to get it."""
    text = (ROOT / name).read_text(encoding="utf-8")
    pins = locked(ROOT / name)
    assert pins
    assert [package for package, (_, digests) in pins.items() if not digests] == []
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("requirements.lock", ("project",)),
        ("requirements-dev.lock", ("project", "build", "dev")),
        ("requirements-build.lock", ("build",)),
        ("requirements-fuzz.lock", ("fuzz",)),
        ("requirements-audit.lock", ("audit",)),
        ("requirements-release.lock", ("release",)),
        ("requirements-docs.lock", ("docs",)),
        ("requirements-examples.lock", ("examples",)),
        *((f"requirements-client-{major}.lock", ("client", f"client-{major}")) for major in (5, 6, 7)),
        ("requirements-client-compiler.lock", ("client-compiler",)),
    ],
)
def test_a_lock_pins_what_the_metadata_asks_for(name: str, groups: tuple[str, ...]) -> None:
    """A requirement changed without `make lock` is found here."""
    pins = locked(ROOT / name)
    wanted = {canonicalize_name(each.name): each for each in declared(*groups)}
    assert wanted.keys() <= pins.keys()
    for package, requirement in wanted.items():
        assert requirement.specifier.contains(pins[package][0]), f"{requirement} is not {pins[package][0]}"


def test_the_locks_agree() -> None:
    """The tests run with the versions that the image ships, and that build it."""
    everything = locked(ROOT / "requirements-dev.lock")
    for name in LOCKS:
        assert locked(ROOT / name).items() <= everything.items()


def test_the_image_is_built_with_the_files_that_the_metadata_names() -> None:
    """Without its readme or license file the project can't be built: the Dockerfile copies them in."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {project["readme"], *project["license-files"], "setup.py"}
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = re.search(r"^COPY (pyproject\.toml.*) \./$", dockerfile, re.MULTILINE)
    assert copied is not None
    assert named <= set(copied[1].split())
    context = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{name}" for name in named} <= set(context)
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_license_is_the_one_that_the_metadata_names() -> None:
    """Apache-2.0, with all of its text: from the title to the end of its terms and the notice of its appendix."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert project["license"] == "Apache-2.0"
    assert re.match(r"\s+Apache License\s+Version 2\.0, January 2004\n", text)
    assert [int(each) for each in re.findall(r"^   (\d)\. ", text, re.MULTILINE)] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert text.endswith("limitations under the License.\n")


@pytest.mark.parametrize(
    "folder",
    [ROOT, ROOT / "examples" / "clients" / "typescript", ROOT / "docs" / "site"],
    ids=["tools", "example", "site"],
)
def test_the_npm_lock_has_digests_and_no_download_addresses(folder: Path) -> None:
    """npm can verify every package it installs; the lock pins what package.json asks for, exactly."""
    lock = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))
    packages = {path: entry for path, entry in lock["packages"].items() if path}
    assert packages
    assert [path for path, entry in packages.items() if "integrity" not in entry] == []
    assert [path for path, entry in packages.items() if "resolved" in entry] == []
    package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    wanted = {**package.get("dependencies", {}), **package.get("devDependencies", {})}
    assert wanted == {name: packages[f"node_modules/{name}"]["version"] for name in wanted}


def test_the_go_lock_has_a_digest_for_each_module() -> None:
    """And no address: a module's name, its version, and the hash of its content."""
    folder = ROOT / "examples" / "clients" / "go"
    wanted = re.findall(r"^\t(\S+) (v\S+)", (folder / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    lines = [line.split(" ") for line in (folder / "go.sum").read_text(encoding="utf-8").splitlines()]
    assert all(len(words) == 3 and words[2].startswith("h1:") for words in lines)
    assert {(name, version) for name, version in wanted} <= {(name, version) for name, version, _ in lines}


def test_the_generated_code_is_what_the_protos_say(tmp_path: Path) -> None:
    """`make protos` would change nothing."""
    missing = [name for name in ("grpc_tools", "mypy_protobuf") if find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    subprocess.run([sys.executable, ROOT / "protos" / "generate.py", tmp_path], check=True)
    assert _generated_below(ROOT) == _generated_below(tmp_path)


def _generated_below(folder: Path) -> dict[str, bytes]:
    generated = folder / GENERATED
    made = (path for pattern in ("[!_]*.py*", "*.binpb", "*.json") for path in generated.glob(pattern))
    return {path.name: path.read_bytes() for path in made}
