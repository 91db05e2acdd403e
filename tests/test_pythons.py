"""`make setup` on a machine without what it needs, and `make test-pythons` where a version can't be had."""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts import pythons

ROOT = Path(__file__).resolve().parent.parent


def make(folder: Path, *arguments: str, programs: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run make in a copy of what `make setup` reads, with these programs in front of the machine's own."""
    for name in ("Makefile", "pyproject.toml", "requirements-dev.lock"):
        shutil.copy(ROOT / name, folder)
    first = folder / "bin"
    first.mkdir()
    for name, text in programs.items():
        (first / name).write_text(f"#!/bin/sh\n{text}\n")
        (first / name).chmod(0o755)
    for name in ("bash", "sh", "awk", "make", "touch", "cat"):  # and no others: neither npm nor uv
        if not (first / name).exists():
            (first / name).symlink_to(shutil.which(name) or name)
    return subprocess.run(
        [first / "make", *arguments], cwd=folder, env={"PATH": str(first)}, capture_output=True, text=True, timeout=60
    )


WITHOUT_VENV = f"""
case "$*" in
  *ensurepip*) echo "ModuleNotFoundError: No module named 'ensurepip'" >&2; exit 1;;
  *venv*) echo "The virtual environment was not created successfully because ensurepip is not available." >&2; exit 1;;
esac
exec {sys.executable} "$@"
"""
"""A python3 of a Debian that has no python3-venv."""


@pytest.mark.parametrize("target", ["demo", "setup", "test", "run"])
def test_a_bare_debian_is_answered_with_the_package_that_it_lacks(tmp_path: Path, target: str) -> None:
    """One line that names the command to run, not a page of Debian's words about environments."""
    done = make(tmp_path, target, programs={"python3": WITHOUT_VENV})
    assert done.returncode != 0
    [line] = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    assert line.startswith("error: 'python3' can't make a virtual environment.")
    assert "apt install python3-venv" in line
    assert f"make {target}" in line
    assert done.stdout == ""


def test_a_bare_debian_with_uv_needs_no_venv_package(tmp_path: Path) -> None:
    """If there is uv it makes the environment and installs into it, by hash as pip does."""
    uv = f"""
echo "uv $*" >>{tmp_path}/asked
if [ "$1" = venv ]; then for last; do :; done; {sys.executable} -m venv --without-pip "$last"; fi
"""
    done = make(tmp_path, "setup", programs={"python3": WITHOUT_VENV, "uv": uv})
    assert done.returncode == 0, done.stderr
    made, locked, project = (tmp_path / "asked").read_text().splitlines()
    assert made == "uv venv --quiet --clear --python python3 .venv"
    assert locked.startswith("uv pip install --quiet --python .venv/bin/python --require-hashes --only-binary :all:")
    assert project.endswith("--no-deps --no-build-isolation --editable .")


@pytest.mark.parametrize("said", ["Python 3.10.2", "Python 3.9.9"])
def test_a_python_below_the_floor_is_named(tmp_path: Path, said: str) -> None:
    """Before anything is installed."""
    old = f'case "$*" in *version_info*) exit 1;; *--version*) echo "{said}"; exit 0;; esac; exit 1'
    done = make(tmp_path, "setup", programs={"python3": old})
    assert done.returncode != 0
    assert f"'python3' is {said}. The gateway needs Python 3.11 or later" in done.stderr


def test_the_readme_names_the_package_that_a_bare_debian_lacks() -> None:
    """Before the first command that needs it."""
    before, _, _ = (ROOT / "README.md").read_text(encoding="utf-8").partition("make demo")
    assert "python3-venv" in before


# --- valgrind ---------------------------------------------------------------------------------------------------

FETCHED_FIRST = 'test "$1" = update && touch "$0.fetched"; test -e "$0.fetched" || exit 100'
"""An apt-get that knows no packages until their list is fetched."""


@pytest.mark.parametrize(
    ("user", "apt", "asked", "said"),
    [
        ("0", "exit 0", ["install"], "Installing valgrind"),
        ("0", FETCHED_FIRST, ["install", "update", "install"], "Installing valgrind"),
        ("0", "exit 100", ["install", "update"], "could not be installed"),
        ("1000", "exit 0", [], "valgrind was not found: instructions are not counted"),
        ("0", None, [], "valgrind was not found: instructions are not counted"),
    ],
    ids=["root", "an old list of packages", "no network", "no root", "no apt"],
)
def test_valgrind_is_installed_where_that_takes_no_password(
    tmp_path: Path, user: str, apt: str | None, asked: list[str], said: str
) -> None:
    """Elsewhere one line says what is missing; the tests run all the same."""
    programs = {"id": f"echo {user}", "mktemp": f"echo {tmp_path}/said", "rm": "exit 0", "tail": "exit 0"}
    if apt is not None:
        programs["apt-get"] = f'echo "$1" >>{tmp_path}/asked\n{apt}'
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    (folder / "touch").symlink_to(shutil.which("touch") or "touch")
    done = subprocess.run(
        ["/bin/sh", ROOT / "scripts" / "install-tool", "valgrind", "instructions are not counted"],
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert said in done.stdout
    log = tmp_path / "asked"
    assert (log.read_text().split() if log.exists() else []) == asked


# --- make test-pythons -----------------------------------------------------------------------------------------


@pytest.fixture
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without Debian's tools, and with no interpreter but the running one."""
    monkeypatch.setattr(pythons, "FOLDER", tmp_path / ".pythons")
    monkeypatch.setattr(pythons, "fits", lambda wanted, python: False)
    monkeypatch.setenv("PATH", str(tmp_path))


def run_all(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["pythons.py", *arguments])
    return pythons.main()


@pytest.mark.usefixtures("nothing_here")
@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)])
def test_a_version_that_cannot_be_had_fails_in_ci_and_is_named_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ci: str, code: int
) -> None:
    """A skipped version would say that the floor holds."""
    monkeypatch.setenv("CI", ci)
    assert run_all(monkeypatch) == code
    said = capsys.readouterr().out
    for version in ("3.11.2", "3.14", "3.13"):
        assert f"Python {version} was left out: apt-get was not found" in said


@pytest.mark.usefixtures("nothing_here")
def test_a_newer_python_stands_in_for_one_that_no_suite_has_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """3.13 runs where 3.14 is gone; the floor has no stand-in."""

    def only(version: str) -> tuple[list[tuple[pythons.Wanted, Path]], list[str], bool]:
        def interpreter(wanted: pythons.Wanted) -> Path:
            if wanted.version == version:
                return Path("python")
            raise pythons.Missing("gone")

        monkeypatch.setattr(pythons, "interpreter", interpreter)
        monkeypatch.setattr(pythons, "environment_for", lambda wanted, python: python)
        return pythons.choose([[pythons.FLOOR], list(pythons.NEWER)])

    chosen, left_out, complete = only("3.13")
    assert [wanted.version for wanted, _ in chosen] == ["3.13"]
    assert left_out == ["Python 3.11.2 was left out: gone", "Python 3.14 was left out: gone"]
    assert not complete


@pytest.mark.parametrize(("codes", "code"), [((0, 0), 0), ((0, 1), 1), ((5, 0), 1)])
def test_each_version_that_ran_is_printed_and_one_that_failed_or_ran_nothing_fails_the_run(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    codes: tuple[int, ...],
    code: int,
) -> None:
    """Its output is shown; pytest ends with 5 where no test was collected."""
    monkeypatch.setenv("CI", "true")
    log = tmp_path / "log"
    log.write_text("....\n1.0s call tests/a.py\n4 passed, 1 skipped in 2.50s (0:00:02)\n")
    runs = [pythons.Run(version, each, 2.5, log) for version, each in zip(("3.11.2", "3.14.10"), codes, strict=True)]
    assert pythons.report(runs, [], True) == code
    said = capsys.readouterr().out
    words = {0: "passed"}
    for version, each in zip(("3.11.2", "3.14.10"), codes, strict=True):
        verdict = words.get(each, "FAILED")
        assert f"Python {version}: {verdict} in 2 s: 4 passed, 1 skipped in 2.50s (0:00:02)\n" in said


def test_a_run_that_is_cut_off_leaves_nothing_running(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It fails, its log says so, and what its tests had started is ended with it."""
    monkeypatch.setattr(pythons, "ROOT", tmp_path)
    monkeypatch.setattr(pythons, "FOLDER", tmp_path)
    monkeypatch.setattr(pythons, "TEST_SECONDS", 1)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ntest "$2" = pytest || exit 0\nsleep 600 & echo $! >{tmp_path}/child; wait\n')
    python.chmod(0o755)
    run = pythons.test(pythons.FLOOR, python, ())
    assert run.code == 1
    assert run.summary == "ended after 1 s"
    child = int((tmp_path / "child").read_text())
    until = time.monotonic() + 60
    while Path(f"/proc/{child}/stat").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
        assert time.monotonic() < until, "the child is still there"
        time.sleep(0.05)


@pytest.mark.parametrize(
    "sources",
    [
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n",
        "# a comment\ndeb [signed-by=/x.gpg] http://mirror.example/debian bookworm main\n",
        "deb http://mirror.example/debian/ bookworm main\n",
    ],
)
def test_the_mirror_is_the_one_that_the_machines_own_sources_name(sources: str) -> None:
    """In either format; no host stands in the project's own files."""
    mirror = re.search(pythons.MIRROR, sources, re.MULTILINE)
    assert mirror is not None
    assert mirror[1] == "http://mirror.example/debian"


def test_an_unpacked_interpreter_is_started_with_its_own_libraries(tmp_path: Path) -> None:
    """A folder with a blank in its name changes nothing, and the environment stays as it is."""
    folder = tmp_path / "a folder"
    python = folder / "usr" / "bin" / "python3.99"
    python.parent.mkdir(parents=True)
    (folder / "usr" / "lib" / "some-linux-gnu").mkdir(parents=True)
    loader = folder / "usr" / "lib64" / "ld-linux-some.so.2"
    loader.parent.mkdir()
    loader.write_text('#!/bin/sh\nprintf "%s\\n" "$@" "${LD_LIBRARY_PATH-unset}"\n')
    loader.chmod(0o755)
    python.write_text("the real one")
    pythons.wrap(folder, python)
    said = subprocess.run([python, "-c", "a b"], capture_output=True, text=True, check=True).stdout.splitlines()
    libraries = str(folder / "usr" / "lib" / "some-linux-gnu")
    inherited = os.environ.get("LD_LIBRARY_PATH", "unset")
    assert said == ["--argv0", str(python), "--library-path", libraries, f"{python}.real", "-c", "a b", inherited]


@pytest.mark.usefixtures("nothing_here")
def test_where_no_newer_python_can_be_had_coverage_is_measured_on_the_running_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said; in CI it is an error, and no Python is named."""
    monkeypatch.setenv("CI", "")
    assert run_all(monkeypatch, "--newer") == 0
    said = capsys.readouterr()
    assert said.out == f"{sys.executable}\n"
    assert "Python 3.14 was left out: apt-get was not found" in said.err
    assert f"Python {platform.python_version()} is used in its place" in said.err
    monkeypatch.setenv("CI", "true")
    assert run_all(monkeypatch, "--newer") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith("error: in CI there has to be a newer Python\n")


def test_the_newer_python_is_named_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Makefile takes the line for a path."""
    monkeypatch.setattr(pythons, "FOLDER", tmp_path)
    monkeypatch.setattr(pythons, "interpreter", lambda wanted: Path(f"/its/{wanted.version}"))
    monkeypatch.setattr(pythons, "environment_for", lambda wanted, python: python)
    assert run_all(monkeypatch, "--newer") == 0
    assert capsys.readouterr() == ("/its/3.14\n", "")


def test_coverage_and_the_tests_that_it_leaves_out_are_all_tests() -> None:
    """Each part that the one target ignores is run by the other, as make itself has it."""
    asked = ["make", "--dry-run", "NPM=", "coverage", "test-unmeasured"]
    said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    [measured] = [line.rstrip("\\") for line in said.splitlines() if " -m coverage run " in line]
    [others] = [line for line in said.splitlines() if " -m pytest " in line and "coverage" not in line]
    ignored = [each for each in shlex.split(measured) if each.startswith("--ignore")]
    left_out = {each.partition("=")[2] for each in ignored}
    assert left_out == {each for each in shlex.split(others) if each.startswith("tests/")}
    assert [each for each in ignored if each.startswith("--ignore-glob=")] == ["--ignore-glob=tests/test_*.py"]
    assert [each for each in left_out - {"tests/test_*.py"} if not (ROOT / each).exists()] == []


@pytest.mark.parametrize("ci", [None, "1"], ids=["unset", "set"])
def test_ci_runs_the_checks_and_all_tests_on_each_python(tmp_path: Path, ci: str | None) -> None:
    """Nothing is narrowed by arguments but the lowest Python's run, to its version; `CI` is set, so that a version that
    can't be had fails the run."""
    asked, make = tmp_path / "asked", tmp_path / "make"
    make.write_text(f'#!/bin/sh\necho "${{CI:-unset}} make $*" >>{shlex.quote(str(asked))}\n')
    make.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | ({"CI": ci} if ci else {})
    environment["PATH"] = f"{tmp_path}{os.pathsep}{environment['PATH']}"
    subprocess.run([ROOT / ".ci" / "run"], env=environment, check=True, timeout=60)
    lines = asked.read_text().splitlines()
    *whole, last = lines
    targets = [line.removeprefix(f"{ci or 'true'} make ") for line in whole]
    assert [each for each in targets if not re.fullmatch("[a-z-]+|release ARGS=--trial", each)] == []
    assert {"lint", "audit-deps", "test", "test-postgres", "coverage", "test-unmeasured"} <= set(targets)
    assert last == f"{ci or 'true'} make test-pythons ARGS=--only {pythons.FLOOR.version}"


def test_ci_ends_with_the_first_that_fails(tmp_path: Path) -> None:
    """A check that fails is not followed by one that hides it."""
    make = tmp_path / "make"
    make.write_text("#!/bin/sh\nexit 3\n")
    make.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    assert subprocess.run([ROOT / ".ci" / "run"], env=environment, check=False, timeout=60).returncode == 3
