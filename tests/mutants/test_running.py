"""Faults in a small project of their own: what is noticed, what is not, and what the report says."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import FunctionType

import pytest

from tests.mutants import applying
from tests.mutants.__main__ import ENOUGH, GATEWAY, ROOT, report, share, stale
from tests.mutants.covering import Coverage, Functions, Kept, Seen, Tracer
from tests.mutants.known import KNOWN
from tests.mutants.operators import Mutant, find
from tests.mutants.running import Tried, draw

SOURCE = """\
def larger(a, b):
    if a > b:
        return a
    return b


def twice(a):
    def inner(b):
        return b * 2
    return inner(a)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A module of its own, its path and source."""
    path = tmp_path / "small_for_mutants.py"
    path.write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    import small_for_mutants  # type: ignore[import-not-found]

    yield small_for_mutants, path
    del sys.modules["small_for_mutants"]


def fault(operator: str, change: str) -> Mutant:
    [mutant] = [
        each for each in find(SOURCE, "small_for_mutants.py") if (each.operator, each.change) == (operator, change)
    ]
    return mutant


# --- applying -------------------------------------------------------------------------------------------------


def test_a_fault_acts_in_functions_that_are_loaded_already(module) -> None:
    """Also for who has the function under a name of its own, and inside of a nested function."""
    small, path = module
    larger = small.larger
    functions = applying.loaded_functions(frozenset({str(path)}))
    applying.exchange(path, SOURCE, fault("negate", "a > b -> a <= b"), functions)
    assert larger(1, 2) == 1
    applying.exchange(path, SOURCE, fault("arithmetic", "b * 2 -> b + 2"), functions)
    assert small.twice(5) == 7


def test_a_function_that_is_not_loaded_cannot_be_exchanged(module) -> None:
    """Then the fault takes a new interpreter."""
    _, path = module
    nothing: dict[applying.Place, list[FunctionType]] = {}
    with pytest.raises(applying.CannotBeExchanged):
        applying.exchange(path, SOURCE, fault("negate", "a > b -> a <= b"), nothing)


def test_names_that_a_statement_sets_are_known() -> None:
    """By them the tests of a fault at import are found."""
    source = "A, B = 1, 2\n\n\nclass C:\n    size: int = 3\n"
    found = {each.lines[0]: applying.names_set_at(source, each) for each in find(source, "x.py")}
    assert found == {1: ({"A", "B"}, None), 5: ({"size"}, "C")}


# --- covering -------------------------------------------------------------------------------------------------


def test_the_lines_that_are_run_are_noted(module) -> None:
    """Of the files asked for, and of no others."""
    small, path = module
    tracer = Tracer([str(path)])
    before = sys.gettrace()
    tracer.start()
    try:
        small.larger(2, 1)
    finally:
        tracer.stop()
        sys.settrace(before)
    assert tracer.taken() == {str(path): [1, 2, 3]}
    assert tracer.taken() == {}


def kept(root: Path, source: str, *, file: str = "f.py", state: str = "now") -> Kept:
    """The traces kept in ``root``, for a project of one file."""
    return Kept(root / "kept", Functions(root, {file: source}), state)


def test_what_was_noted_is_kept_and_read_again(tmp_path: Path) -> None:
    """A damaged file counts as none."""
    path = str(tmp_path / "f.py")
    assert kept(tmp_path, SOURCE).get("a", "t.py") is None
    kept(tmp_path, SOURCE).put("a", {"t.py::t": Seen(0.5, 0.4, True, {path: [2, 3, 9]})})
    assert kept(tmp_path, SOURCE).get("a", "t.py") == {"t.py::t": Seen(0.5, 0.4, True, {path: [2, 3, 9]})}
    for damaged in ("{", "[]", '{"a": 1}'):
        (tmp_path / "kept" / "a.json").write_text(damaged)
        assert kept(tmp_path, SOURCE).get("a", "t.py") is None


def test_what_was_noted_is_good_for_changed_code(tmp_path: Path) -> None:
    """Functions move with their lines, into other files too; of one that is changed every line counts as run."""
    kept(tmp_path, SOURCE).put("a", {"t.py::t": Seen(0.5, 0.4, True, {str(tmp_path / "f.py"): [2, 10]})})
    changed = "X = 1\n\n\n" + SOURCE.replace("return b\n", "return b or a\n", 1)
    found = kept(tmp_path, changed, file="g.py", state="later").get("a", "there/t.py")
    assert found == {"there/t.py::t": Seen(0.5, 0.4, True, {str(tmp_path / "g.py"): [4, 5, 6, 7, 13]})}


def test_a_test_that_failed_is_tried_again_on_other_code(tmp_path: Path) -> None:
    """It may pass by now; on the same code it would not."""
    seen = {"t.py::t": Seen(0.5, 0.4, False, {})}
    kept(tmp_path, SOURCE).put("a", seen)
    assert kept(tmp_path, SOURCE).get("a", "t.py") == seen
    assert kept(tmp_path, SOURCE, state="later").get("a", "t.py") is None


def test_what_was_noted_of_a_test_is_good_for_its_changed_file(tmp_path: Path) -> None:
    """Tests that passed are known by their names, where most of the file's are the same; others are noted anew."""
    path = str(tmp_path / "f.py")
    seen = {f"t.py::{name}": Seen(0.5, 0.4, name != "fails", {path: [2]}) for name in ("one", "two", "fails")}
    kept(tmp_path, SOURCE).put("a", seen)
    (tmp_path / "kept" / "b.json").write_text("{")
    found = kept(tmp_path, SOURCE).like("there/t.py", ["one", "two", "fails", "new"])
    assert found == {f"there/t.py::{name}": seen[f"t.py::{name}"] for name in ("one", "two")}
    assert kept(tmp_path, SOURCE).like("t.py", ["one", "x", "y", "z"]) == {}
    assert kept(tmp_path / "none", SOURCE).like("t.py", ["one"]) == {}


def test_a_test_that_fails_without_a_fault_notices_none() -> None:
    """It would notice every one."""
    coverage = Coverage()
    coverage.add("good", Seen(0.1, 0.1, True, {"f.py": [1, 2]}))
    coverage.add("bad", Seen(0.1, 0.1, False, {"f.py": [1, 2]}))
    assert coverage.tests_of("f.py", 2, 5) == {"good"}
    assert coverage.failed() == ["bad"]


# --- children -------------------------------------------------------------------------------------------------


SCRIPT = """
import json, os, sys
from tests.mutants.children import Job, run


def speaks(report):
    report({"a": 1})


def raises(report):
    raise ValueError("a bug")


def dies(report):
    os._exit(3)


def hangs(report):
    report({"at": 1})
    while True:
        pass


said = {}


def job(work, patience):
    heard = said.setdefault(work.__name__, [])
    return Job(work, heard.append, lambda silent: heard.append({"silent": silent}), lambda: patience)


run(iter([job(speaks, 60), job(raises, 60), job(dies, 60), job(hangs, 1)]), 2)
print(json.dumps(said))
"""


def test_children_report_and_end() -> None:
    """One that raises says so, one that dies says nothing, and one that says nothing more is ended. In a process of its
    own: this one has threads, and forks should have none."""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True, timeout=100)
    said = json.loads(done.stdout)
    assert "ValueError: a bug" in said["raises"][0].pop("failed")
    assert said == {
        "speaks": [{"a": 1}, {"silent": False}],
        "raises": [{}, {"silent": False}],
        "dies": [{"silent": False}],
        "hangs": [{"at": 1}, {"silent": True}],
    }


BROKEN = """
import time
from tests.mutants.children import Broken, Job, run


def breaks(report):
    report({"broken": "no interpreter"})


def job(work):
    return Job(work, print, lambda silent: print("over"), lambda: 60)


try:
    run(iter([job(lambda report: time.sleep(600)), job(breaks), job(breaks)]), 2)
except Broken as broken:
    print("broken:", broken)
"""


def test_a_child_in_which_the_harness_fails_ends_the_run() -> None:
    """It says nothing of any fault; one that was counted as noticed by it would be counted wrongly."""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", BROKEN], cwd=root, capture_output=True, text=True, timeout=100)
    assert done.stdout == "broken: no interpreter\n", done.stderr


def test_a_child_that_has_not_run_yet_is_ended_with_the_run() -> None:
    """A busy machine's scheduler lets the second child report before the first one has done anything."""
    late = """
import os, time
forks = 0

def count():
    global forks
    forks += 1

os.register_at_fork(before=count, after_in_child=lambda: time.sleep(600 if forks == 1 else 0))
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", late + BROKEN], cwd=root, capture_output=True, text=True, timeout=100)
    assert done.stdout == "broken: no interpreter\n", done.stderr


def test_a_fault_at_import_gets_its_interpreter_though_no_test_may_start_one() -> None:
    """The harness loads the tests' settings, by which ``os.execv`` is refused, into its own process."""
    root = Path(__file__).parents[2]
    script = """
import os, sys
from tests.mutants import running
import tests.conftest
try:
    os.execv(sys.executable, [sys.executable, "-c", "print('a test')"])
except AssertionError:
    running.execv(sys.executable, [sys.executable, "-c", "print('the harness')"])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=100)
    assert done.stdout == "the harness\n", done.stderr


# --- the draw and the report ----------------------------------------------------------------------------------


def test_a_seed_draws_the_same_faults_and_another_others() -> None:
    """Line by line, so that none stands for all."""
    mutants = find(SOURCE * 20, "x.py")
    first = list(draw(mutants, 30, 1))
    assert first == list(draw(mutants, 30, 1))
    assert first != list(draw(mutants, 30, 2))
    assert max(Counter(each.lines[0] for each in first).values()) == 1
    assert len(list(draw(mutants, 10**6, 1))) == len(mutants)


def test_a_seed_draws_the_same_faults_after_changes_elsewhere() -> None:
    """So the figures of two versions compare: a renamed file and a new function leave the others' lots alone."""
    before = find(SOURCE, "x.py")
    after = find("def other(a):\n    return a + 1\n\n\n" + SOURCE, "y.py")
    there = {each.identity.partition("::")[2] for each in before}

    def drawn(mutants: list[Mutant]) -> list[str]:
        return [each.identity.partition("::")[2] for each in draw(mutants, 10**6, 1)]

    lines = len({each.lines[0] for each in before})
    assert drawn(before)[:lines] == [each for each in drawn(after) if each in there][:lines]


def test_the_report_lists_what_was_not_noticed_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """And counts those known to change nothing apart."""
    mutants = find(SOURCE, "x.py")[:4]
    monkeypatch.setitem(KNOWN, mutants[1].identity, "nobody sees it")
    tried = [Tried(each, ["t"], killed_by="t") for each in mutants]
    tried[1].killed_by = None
    assert share(tried) == 100
    tried[2].killed_by = None
    assert 66 < share(tried) < 67 < ENOUGH
    text = "\n".join(report(tried, []))
    assert "2 not noticed" in text
    assert "nobody sees it" in text
    assert mutants[2].identity in text
    assert "4 faults, 2 noticed: 50.0 %; 1 of the rest are known" in text


def test_what_is_known_of_a_statement_that_has_changed_is_named() -> None:
    """It is no reason for anything any more."""
    root = Path(__file__).parents[2]
    known = {"gateway/journal/numbers.py::x::drop::no such statement::-": "a reason"}
    assert stale(root, known) == list(known)
    assert all(len(reason) > 20 for reason in KNOWN.values())


def test_what_is_changed_and_what_is_left_out_is_there() -> None:
    """A file that was renamed would be left alone, and its faults would not be missed."""
    assert all((GATEWAY.root / each).exists() for each in (*GATEWAY.targets, *GATEWAY.left_out))
    assert len(GATEWAY.files()) > 50


def test_a_process_for_a_fault_at_import_has_imported_nothing_of_the_gateway_before() -> None:
    """Or the fault would not be in what the tests run: those in the store's modules were none until this was held."""
    code = "import sys, tests.mutants.imported; print([each for each in sys.modules if each.startswith('gateway')])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
