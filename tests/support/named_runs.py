"""A pytest plugin: a test that the documents name has to run. One that was skipped, or never collected, fails the run.

A page that names a test says: this shows it. So a named test may be skipped only where a peer is absent that the
project does without (``ABSENT``), and a run of everything has to have run every named test.

Where pytest-xdist spreads the tests over workers, all outcomes are reported to the process that started them: it alone
watches, and gives the workers the names that it watches for.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.named_tests import named

ABSENT = (
    r"node was not found: no charger from npm",
    r"ocpp-rpc is not installed",
    r"matplotlib comes with make bench",
    r"this SQLite has no dbstat",
    r"no device that is always full",
    r"needs the openssl command as a client",
    r"needs the prlimit command",
    r"valgrind is not installed",
    r"sslscan is not installed",
    r"promtool is not installed",
    r"systemd-(analyze|socket-activate) is not installed",
    r"the ratio was recorded on CPython 3\.11",
    r"not a git checkout",
)
"""Reasons for which a named test may be skipped: what the machine lacks, or another version's figures. Where CI has to
have it all the same, the test itself fails there instead of skipping (valgrind, sslscan, promtool, systemd)."""

_ABSENT = re.compile("|".join(ABSENT))


class NamedRuns:
    """Watches what becomes of named tests. ``whole``: everything was asked for, so that each has to be there."""

    def __init__(self, tests: frozenset[str], *, whole: bool) -> None:
        self.tests = tests
        self._whole = whole
        self._passed: set[str] = set()
        self._skipped: defaultdict[str, set[str]] = defaultdict(set)

    def saw(self, test: str, outcome: str, reason: str = "") -> None:
        """Note a phase of a test: its node id (parameters and all), what became of it, and why it was skipped."""
        name = test.partition("[")[0]
        if name not in self.tests:
            return
        if outcome == "skipped":
            self._skipped[name].add(reason)
        elif outcome == "passed":
            self._passed.add(name)

    def faults(self) -> Iterator[str]:
        """The faults, a line for each test."""
        for name, reasons in sorted(self._skipped.items()):
            for reason in sorted(reasons):
                if not _ABSENT.search(reason):
                    yield f"{name}: a document names it, and it was skipped: {reason}"
        if self._whole:
            for name in sorted(self.tests - self._passed - self._skipped.keys()):
                yield f"{name}: a document names it, and it did not run"

    # --- pytest's hooks ---------------------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[WATCHED] = sorted(self.tests)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            # Of an expected failure too, which shows nothing either.
            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else getattr(report, "wasxfail", "")
            self.saw(report.nodeid, "skipped", why)
        elif report.when == "call":
            self.saw(report.nodeid, report.outcome)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:  # a whole module
            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            for name in self.tests:
                if name.startswith(f"{report.nodeid}::"):
                    self.saw(name, "skipped", why)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.shouldstop or session.shouldfail:
            self._whole = False
        if session.exitstatus == pytest.ExitCode.OK and any(True for _ in self.faults()):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        faults = list(self.faults())
        if faults:
            terminalreporter.section("tests that documents name")
            for fault in faults:
                terminalreporter.write_line(fault)


WATCHED = "named-tests"
"""Key under which a worker is given the names that the run watches for."""


def watch(config: pytest.Config) -> None:
    """Watch a run for the tests that documents name."""
    option = config.option
    narrowed = option.keyword or option.markexpr or option.deselect or option.collectonly
    cut = option.ignore or option.ignore_glob or option.maxfail
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not (narrowed or cut)
    register(config, of_stores(config.getoption("--stores")), whole=whole)


MARK = "pytest.mark.postgres"


def of_stores(stores: str) -> frozenset[str]:
    """Return the named tests that run on these stores: those on PostgreSQL are left out unless they are asked for."""
    return frozenset(each for each in named() if stores != "sqlite" or not _on_postgres(each))


def _on_postgres(test: str) -> bool:
    """Return true if a test, or all of its file, is marked as one on PostgreSQL, whatever marks there are besides."""
    file, _, name = test.partition("::")
    path = Path(__file__).parents[2] / file
    if not path.exists() or MARK not in (source := path.read_text(encoding="utf-8")):
        return False  # most files: parsing all of them would take each run a second
    return is_marked(source, name)


def is_marked(source: str, name: str) -> bool:
    """Return true if a function of a test file, or the whole file by its ``pytestmark``, has the mark of PostgreSQL."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and any(ast.unparse(each) == "pytestmark" for each in node.targets):
            marks: Iterable[ast.expr] = [node.value]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            marks = node.decorator_list
        else:
            continue
        if any(ast.unparse(part) == MARK for mark in marks for part in ast.walk(mark)):
            return True
    return False


def register(config: pytest.Config, tests: frozenset[str], *, whole: bool) -> None:
    """Watch a run for these tests, in the process that all outcomes are reported to: not in a worker."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(NamedRuns(tests, whole=whole), "named-runs")


def watched(config: pytest.Config) -> frozenset[str]:
    """The tests that the run watches for, asked in its only process or in a worker."""
    if hasattr(config, "workerinput"):
        return frozenset(config.workerinput[WATCHED])
    plugin = config.pluginmanager.get_plugin("named-runs")
    return plugin.tests if isinstance(plugin, NamedRuns) else frozenset()
