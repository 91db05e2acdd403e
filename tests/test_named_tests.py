"""A test that a document names counts only if it can fail, and ran: emptied or skipped ones are found."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.named_runs import is_marked, of_stores, watched
from tests.support.named_tests import functions_in, named, unfit, why_hollow

ROOT = Path(__file__).resolve().parent.parent


def hollow(body: str, *, mark: str = "") -> str | None:
    """The finding about a test with that body."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    (function,) = ast.parse(f"{mark}\nasync def test_x(a, station):\n{lines}\n").body
    assert isinstance(function, ast.AsyncFunctionDef)
    return why_hollow(function)


EMPTIED = {
    "nothing": "pass",
    "a docstring": '"""What it would show."""',
    "an ellipsis": "...",
    "calls alone": "value = f(a)\nprint(value)",
    "an assertion of a constant": "assert True",
    "an assertion of a text": "assert 'it works'",
    "an assertion of a tuple": "assert (a == 1, 'always true')",
    "an assertion that can't fail": "assert a == 1 or True",
    "an assertion of a thing's sameness": "assert a == a",
    "behind a return": "return\nassert a == 1",
    "behind a skip": "pytest.skip('later')\nassert a == 1",
    "behind an early end in a block": "return f(a)\nassert a",
    "in a branch never taken": "if False:\n    assert a == 1",
    "in the other branch of one always taken": "if True:\n    f()\nelse:\n    assert a == 1",
    "in a loop over nothing": "for each in ():\n    assert each == 1",
    "in a loop never entered": "while 0:\n    assert a == 1",
    "behind a continue": "for each in a:\n    continue\n    assert each",
    "in a function never called": "def check():\n    assert a == 1\nf()",
    "in a comment": "# assert a == 1\nf()",
    "a method of anything": "a.read()\na.close()\na.append(1)",
}


@pytest.mark.parametrize("body", EMPTIED.values(), ids=EMPTIED)
def test_an_emptied_test_is_found(body: str) -> None:
    """It would pass whatever the gateway does."""
    assert hollow(body) == "asserts nothing"


@pytest.mark.parametrize(
    "mark", ["@pytest.mark.skip", "@pytest.mark.skip(reason='later')", "@pytest.mark.xfail", "@mark.xfail(strict=True)"]
)
def test_a_skipped_test_is_found(mark: str) -> None:
    """So is one that is expected to fail."""
    assert hollow("assert a == 1", mark=mark) == "is skipped, or expected to fail, by its mark"


BLOCKS = """async with f():
    for each in a:
        try:
            assert each
        finally:
            g()"""

WHOLE = {
    "an assertion": "assert a == 1",
    "an assertion of two like calls": "assert f(a) == f(a)",
    "in blocks": BLOCKS,
    "in a handler": "try:\n    f()\nexcept ValueError as error:\n    assert str(error)",
    "in a case": "match a:\n    case 1:\n        assert f()",
    "an error that is expected": "with pytest.raises(ValueError):\n    f()",
    "a limit in time": "with trio.fail_after(5):\n    await f()",
    "a failure": "if a:\n    pytest.fail('no')",
    "an assertion error": "if a:\n    raise AssertionError('no')",
    "in a function that is called": "def check():\n    assert a == 1\ncheck()",
    "in a function that is handed on": "async def check():\n    assert a == 1\nnursery.start_soon(check)",
    "in the method of a helper": "await station.receives('Reset', a)",
    "behind a return in a branch": "if a:\n    return\nassert f()",
}


@pytest.mark.parametrize("body", WHOLE.values(), ids=WHOLE)
def test_a_test_that_asserts_is_whole(body: str) -> None:
    """However it is written."""
    assert hollow(body) is None


def test_all_tests_that_documents_name_are_whole() -> None:
    """On whatever page, in a table or in a sentence."""
    assert len(named()) > 300
    assert unfit(sorted(named())) == []


def test_a_test_that_is_not_there_is_found() -> None:
    """By its module or by its name."""
    here = "tests/test_named_tests.py"
    assert unfit([f"{here}::test_nothing_of_that_name"]) == [f"{here}::test_nothing_of_that_name: is not there"]
    assert unfit(["tests/test_none.py::test_x"]) == ["tests/test_none.py::test_x: is not there"]
    assert "test_a_test_that_is_not_there_is_found" in functions_in(here)


# --- runs ---------------------------------------------------------------------------------------------------------

SUITE = """
import pytest

def test_runs(): assert 1 + 1 == 2

@pytest.mark.parametrize("each", [1, 2])
def test_runs_twice(each): assert each

@pytest.mark.skip(reason="later")
def test_skipped(): assert False

@pytest.mark.parametrize("each", [1, 2])
def test_skipped_in_part(each):
    if each == 2: pytest.skip("not now")

@pytest.fixture
def absent(): pytest.skip("valgrind is not installed: instructions are not counted")

def test_without_a_peer(absent): assert False

@pytest.mark.xfail
def test_expected_to_fail(): assert False

@pytest.mark.parametrize("each", [])
def test_of_no_cases(each): assert each
"""

CONFTEST = """
from tests.support.named_runs import register

def pytest_configure(config):
    register(config, frozenset({names!r}), whole={whole})
"""


def run(folder: Path, *names: str, whole: bool = True, arguments: tuple[str, ...] = ()) -> tuple[int, str]:
    """A run of the suite above with these tests named: pytest's exit code and what it prints."""
    (folder / "test_a.py").write_text(SUITE)
    (folder / "test_b.py").write_text("import pytest\npytest.skip('not here', allow_module_level=True)\n")
    tests = [name if "::" in name else f"test_a.py::{name}" for name in names]
    (folder / "conftest.py").write_text(CONFTEST.format(names=tests, whole=whole))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        str(folder),
    ]
    done = subprocess.run(
        [*command, *arguments],
        cwd=folder,
        # Without the other plugins, whose loading takes longer than the run.
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    return done.returncode, done.stdout


SPREAD = ("-p", "xdist.plugin", "-n", "2", "--dist", "load")
"""As `make test` runs them: by workers that report to the process which watches. Here each test for itself."""


@pytest.mark.parametrize("arguments", [(), SPREAD], ids=["one process", "workers"])
def test_named_tests_that_ran_are_fine(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Skipped tests that no document names are no promise."""
    code, said = run(tmp_path, "test_runs", "test_runs_twice", arguments=arguments)
    assert code == 0, said
    assert "documents name" not in said


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("test_skipped", "it was skipped: Skipped: later"),
        ("test_skipped_in_part", "it was skipped: Skipped: not now"),
        ("test_expected_to_fail", "it was skipped: "),
        ("test_of_no_cases", "it was skipped: Skipped: got empty parameter set"),
        ("test_b.py::test_x", "it was skipped: Skipped: not here"),
        ("test_c.py::test_x", "it did not run"),
        ("test_of_another_name", "it did not run"),
    ],
)
def test_a_named_test_that_did_not_run_fails_the_run(tmp_path: Path, name: str, reason: str) -> None:
    """The run says which, and why."""
    code, said = run(tmp_path, "test_runs", name)
    assert code == pytest.ExitCode.TESTS_FAILED
    [line] = [line for line in said.splitlines() if "a document names it" in line]
    assert line.startswith(name if "::" in name else f"test_a.py::{name}: ")
    assert reason in line
    assert "test_runs:" not in said


def test_workers_report_the_named_tests_that_did_not_run(tmp_path: Path) -> None:
    """Each once, whichever worker had it."""
    missing = {
        "test_a.py::test_expected_to_fail": "it was skipped: ",
        "test_a.py::test_skipped_in_part": "it was skipped: Skipped: not now",
        "test_b.py::test_x": "it was skipped: Skipped: not here",
        "test_c.py::test_x": "it did not run",
    }
    code, said = run(tmp_path, "test_runs", "test_runs_twice", *missing, arguments=SPREAD)
    assert code == pytest.ExitCode.TESTS_FAILED, said
    lines = [line for line in said.splitlines() if "a document names it" in line]
    assert len(lines) == len(missing)
    for line, (name, reason) in zip(lines, missing.items(), strict=True):
        assert line.startswith(f"{name}: ")
        assert reason in line


def test_a_named_test_may_be_skipped_for_want_of_a_peer(tmp_path: Path) -> None:
    """The skip's reason says what the machine lacks."""
    assert run(tmp_path, "test_runs", "test_without_a_peer")[0] == 0


def test_a_part_of_the_tests_need_not_run_all_that_is_named(tmp_path: Path) -> None:
    """Of what it ran, nothing may be skipped."""
    assert run(tmp_path, "test_runs", "test_c.py::test_x", whole=False)[0] == 0
    code, _ = run(tmp_path, "test_skipped", whole=False, arguments=("test_a.py::test_skipped",))
    assert code == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    ("source", "marked"),
    [
        ("pytestmark = pytest.mark.postgres", True),
        ("pytestmark = [pytest.mark.postgres, pytest.mark.timeout(4 * SECONDS)]", True),
        ("pytestmark = pytest.mark.timeout(4)", False),
        ("@pytest.mark.postgres\n@pytest.mark.parametrize('n', [1])\nasync def test_x(n): ...", True),
        ("@pytest.mark.postgres\ndef test_y(): ...\ndef test_x(): ...", False),
        ("mark = pytest.mark.postgres", False),
    ],
)
def test_a_test_on_postgresql_is_known_by_its_own_mark_or_its_files(source: str, marked: bool) -> None:
    """A run of the tests on SQLite has not left those out by mistake."""
    assert is_marked(source, "test_x") is marked


def test_this_run_is_watched(request: pytest.FixtureRequest) -> None:
    """For all names, by the plugin of the process that the outcomes are reported to."""
    expected = of_stores(request.config.getoption("--stores"))
    assert watched(request.config) == expected
    assert expected <= named()
