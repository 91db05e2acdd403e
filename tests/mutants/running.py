"""Carries faults through the tests that could notice them.

One process imports everything and collects the tests once. Each fault gets a child of it (a fork), which exchanges the
code of one function and runs the tests that run the fault's line, the quickest first, until one fails. A fault in what
is run at import (a constant, a default, a decorator) gets a new interpreter instead. A test that fails, an interpreter
that dies and a test that takes many times as long as ever are all noticed faults. A test that notices one is run alone
without any fault first, once: if it fails then too, it counts for nothing.
"""

import ast
import gc
import hashlib
import json
import os
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count as counting
from itertools import islice
from os import execv  # by its own name: the tests' conftest, which comes later, takes os.execv from all tests
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from tests.mutants import applying, children
from tests.mutants.children import Job, Message, Report
from tests.mutants.covering import Coverage, Functions, Kept, Seen, Tracer, digest
from tests.mutants.operators import Mutant, apply, find
from tests.support import postgres

PATIENCE, PATIENCE_TIMES = 10.0, 10.0
"""A test hangs that says nothing for so many seconds and so many times as long as it took before: on a busy machine
a test may take several times as long as it took alone."""

MORE_PATIENCE = 5
"""So many times as long is a test waited for that hung once, before the fault counts as noticed by that."""

TRACE_PATIENCE = 240.0
"""Seconds for one test while its lines are noted."""

IMPORT_PATIENCE = 120.0
"""Seconds for a new interpreter to import and collect, on a busy machine."""

ENOUGH_SECONDS = 60.0
"""A fault is tried by tests that take so long together, of the processor and while traced, which is three times as long
as without: a line of the store's is run by thousands of them, and what the quick ones of all folders don't notice the
rest seldom does. More are run on demand (``--seconds``)."""

QUICK_SECONDS = 1.0
"""A test that is quicker and noticed a fault is the first to be asked about the next one of that file."""

MORE_KILLERS = 3
"""Tests that are not, and noticed one, which are asked in the end, however many there are before them."""

FARTHER = 10
"""A test of another package comes as late as one of the fault's own that takes so many times as long: a line of the
store's is run by thousands of tests, and its own notice first what is wrong with it."""

NAMED_FILES = 4
"""Files of tests that a fault at import is tried by first."""

MEMORY = 6 * 1024**3
"""Bytes of address space of a child: a fault that fills memory ends its own process."""


@dataclass(frozen=True)
class Project:
    """The code that is changed, and the tests of it. Paths are relative to ``root``."""

    root: Path
    targets: tuple[str, ...]
    """Files and folders whose lines are changed."""
    tests: tuple[str, ...]
    left_out: tuple[str, ...]
    """Folders and files of tests that start processes: no line of theirs is seen in this one."""
    kept: Path
    workers: int = 2
    seconds: float = ENOUGH_SECONDS
    left_alone: tuple[str, ...] = ()
    """Folders in ``targets`` in which nothing is changed this time."""
    servers: tuple[str, ...] = ()
    """For each worker the folder of a PostgreSQL that its tests use; none: there are no tests that need one."""
    fresh: bool = False
    """Whether lines are noted anew that are kept from an earlier run."""

    def files(self) -> list[Path]:
        """The target files, in order."""
        found: list[Path] = []
        for target in self.targets:
            path = self.root / target
            found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
        alone = [self.root / each for each in self.left_alone]
        return [path for path in found if not any(path.is_relative_to(each) for each in alone)]


@dataclass
class Tried:
    """A fault and what became of it."""

    mutant: Mutant
    tests: list[str]
    killed_by: str | None = None
    how: str = ""
    seconds: float = 0.0
    named: frozenset[Path] = frozenset()
    """Of a fault that acts at import: files of tests that name what it is about. They are tried first, for a new
    interpreter takes as long as the files that it has to import."""
    whole: bool = True
    """Whether all tests are tried, or those of ``named`` alone so far."""
    untrusted: set[str] = field(default_factory=set)
    hung: str | None = None
    """The test that hung, or nothing for an interpreter that did before its first: that is tried once more, alone and
    with more patience, before it counts."""


def draw(mutants: Sequence[Mutant], count: int, seed: int) -> Iterator[Mutant]:
    """``count`` of them by ``seed``: lines are drawn first, then one fault of each, so that no line with many operators
    stands for the rest. More faults than lines: another round. Each line and fault draws its own lot, by its text: what
    changes elsewhere, or is renamed, changes nothing here."""
    by_line: defaultdict[tuple[str, int], list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        by_line[mutant.file, mutant.lines[0]].append(mutant)
    lots: Counter[str] = Counter()
    lines = []
    for place in sorted(by_line):
        first = by_line[place][0]
        text = f"{first.qualname}::{first.statement}"
        lines.append((_hashed(f"{seed} {text} {lots[text]}"), place))
        lots[text] += 1
        by_line[place].sort(key=lambda each: _hashed(f"{seed} {each.identity.partition('::')[2]}"))
    lines.sort()
    rounds = (by_line[place][nth] for nth in counting() for _, place in lines if nth < len(by_line[place]))
    return islice(rounds, min(count, len(mutants)))


class Profile:
    """Hypothesis as a repeatable run needs it: the same examples every time, and no search for a smaller one."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        import hypothesis  # after pytest has prepared for it

        hypothesis.settings.register_profile(
            "mutants",
            deadline=None,
            derandomize=True,
            database=None,
            phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        hypothesis.settings.load_profile("mutants")


class Run:
    """A plugin of pytest's that runs faults instead of the tests."""

    def __init__(
        self, project: Project, choose: Callable[[list[Mutant]], Iterable[Mutant]], say: Callable[[str], None]
    ) -> None:
        self.tried: list[Tried] = []
        self.not_counted: list[str] = []
        """Tests that fail without a fault, or fail alone."""
        self._project = project
        self._choose = choose
        self._say = say
        self._sources: dict[str, str] = {}
        self._readers: list[_Reader] = []
        self._items: dict[str, pytest.Item] = {}
        self._coverage = Coverage()
        self._costs: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        """Of each test by the wall, as of the processor and of waiting."""
        self._trusted: set[str] = set()
        self._killers: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """By file: the tests that have noticed faults in it. They are the first to be asked about the next one."""
        self._folder = Path()
        self._over = 0
        self._setup_lines: dict[str, list[int]] = {}
        self._tracer: Tracer | None = None

    # --- hooks ------------------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted("a file of tests can't be imported")
        self._items = {item.nodeid: item for item in session.items}
        self._folder = Path(tempfile.mkdtemp(prefix="mutants-", dir=_quick_place()))
        self._folder.chmod(0o755)
        try:
            self._run()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        if self._tracer is not None:
            self._setup_lines = self._tracer.taken()

    # --- the whole --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        files = {str(path.relative_to(self._project.root)): path for path in self._project.files()}
        self._sources = {name: path.read_text() for name, path in files.items()}
        gc.unfreeze()  # tests/conftest.py has frozen what was loaded, where no list of objects shows it
        functions = applying.loaded_functions(frozenset(map(str, files.values())))
        gc.collect()
        gc.freeze()
        self._readers = _readers(self._sources)
        self._trace_all([str(path) for path in files.values()])
        mutants = [mutant for name, source in self._sources.items() for mutant in find(source, name)]
        self._say(f"{len(mutants)} faults can be made in {len(files)} files; {len(self._items)} tests")
        chosen = [self._tried(mutant) for mutant in self._compilable(self._choose(mutants))]
        self.tried = chosen
        waiting = deque(chosen)

        def jobs() -> Iterator[Job]:
            while waiting:
                tried = waiting.popleft()
                if tried.killed_by is not None and tried.killed_by in self._items:
                    yield self._alone(tried, waiting)
                elif tried.tests:
                    yield self._job(tried, waiting, functions)

        begun = time.monotonic()
        children.run(jobs(), self._project.workers)
        self._say(f"{len(chosen)} faults tried in {time.monotonic() - begun:.0f} s")

    def _compilable(self, mutants: Iterable[Mutant]) -> Iterator[Mutant]:
        for mutant in mutants:
            try:
                compile(apply(self._sources[mutant.file], mutant), mutant.file, "exec", dont_inherit=True)
            except (SyntaxError, ValueError):
                continue
            yield mutant

    # --- which tests run which lines --------------------------------------------------------------------------

    def _trace_all(self, targets: list[str]) -> None:
        root = self._project.root
        sources = digest(path for each in self._project.targets for path in (root / each.split("/")[0]).rglob("*.py"))
        shared = digest(path for each in self._project.tests for path in (root / each).rglob("*.py")
                        if not path.name.startswith("test_") and "mutants" not in path.parts)  # fmt: skip
        kept = Kept(self._project.kept, Functions(root, self._sources), sources + shared)
        by_file: defaultdict[Path, list[pytest.Item]] = defaultdict(list)
        for item in self._items.values():
            by_file[item.path].append(item)
        missing: list[tuple[str, list[pytest.Item], dict[str, Seen]]] = []
        known: list[dict[str, Seen]] = []
        traced: list[tuple[str, str]] = []
        for path, items in by_file.items():
            tests = [item.nodeid.partition("::")[2] for item in items]
            key = _hashed(path.name + path.read_text() + "\n".join(tests)) + _hashed("\n".join(tests))
            file = items[0].nodeid.partition("::")[0]
            seen = None if self._project.fresh else kept.get(key, file)
            if seen is None:
                seen = {} if self._project.fresh else kept.like(file, tests)
                if new := [item for item in items if item.nodeid not in seen]:
                    missing.append((key, new, seen))
                    traced.append((key, file))
                else:
                    kept.put(key, seen)
                    known.append(seen)
            else:
                known.append(seen)
        if missing:
            tests_left = sum(len(items) for _, items, _ in missing)
            self._say(f"noting which lines {tests_left} tests of {len(missing)} files run")

        def job(key: str, items: list[pytest.Item], before: dict[str, Seen]) -> Job:
            return Job(
                work=lambda report: self._trace(key, items, before, targets, kept, report),
                heard=lambda message: self._say(f"  {message['failed']}") if "failed" in message else None,
                over=lambda silent: self._say(f"  {items[0].path.name} hangs while traced") if silent else None,
                patience=lambda: TRACE_PATIENCE,
            )

        missing.sort(key=lambda each: -len(each[1]))
        children.run((job(*each) for each in missing), self._project.workers)
        known += [kept.get(key, file) or {} for key, file in traced]
        for each in known:
            for test, one in each.items():
                self._coverage.add(test, one)
        failed = self._coverage.failed()
        self.not_counted += failed
        for items in by_file.values():
            self._share_costs(items)

    def _share_costs(self, items: list[pytest.Item]) -> None:
        """Of tests of a file that share a fixture of the file one has paid for it, which any of them would alone."""
        seen = {item.nodeid: each for item in items if (each := self._coverage.seen.get(item.nodeid)) is not None}
        wide = {item.nodeid for item in items if _has_wide_fixtures(item, ("class", "module", "package"))}
        cost = max((each.cost for test, each in seen.items() if test in wide), default=0.0)
        seconds = max((each.seconds for test, each in seen.items() if test in wide), default=0.0)
        for test, each in seen.items():
            self._costs[test] = cost if test in wide else each.cost
            self._seconds[test] = seconds if test in wide else each.seconds

    def _trace(
        self,
        key: str,
        items: list[pytest.Item],
        before: dict[str, Seen],
        targets: list[str],
        kept: Kept,
        report: Report,
    ) -> None:
        """Trace ``items``, and keep what is found with what was known ``before`` of others of their file."""
        self._prepare_child()
        tracer = self._tracer = Tracer(targets)
        seen = dict(before)
        shared: defaultdict[str, set[int]] = defaultdict(set)
        tracer.start()
        for item, following in zip(items, [*items[1:], None], strict=True):
            report({"at": item.nodeid})
            begun, work = time.monotonic(), time.process_time()
            passed = not _failed(item, following)
            lines = tracer.taken()
            if _has_wide_fixtures(item):
                for file, numbers in self._setup_lines.items():
                    shared[file] |= set(numbers)
            for source in (self._setup_lines, shared if _has_wide_fixtures(item) else {}):
                for file, numbers in source.items():
                    lines[file] = sorted({*lines.get(file, ()), *numbers})
            seen[item.nodeid] = Seen(time.monotonic() - begun, time.process_time() - work, passed, lines)
        tracer.stop()
        kept.put(key, seen)
        shutil.rmtree(self._folder / str(os.getpid()), ignore_errors=True)

    def _tried(self, mutant: Mutant) -> Tried:
        path = str(self._project.root / mutant.file)
        if mutant.function is not None:
            # A function that is newer than what was kept is run by tests of its file, whichever.
            tests = self._coverage.tests_of(path, *mutant.lines) or self._coverage.tests_of(path, 1, 10**6)
            return Tried(mutant, self._in_order(tests, mutant.file))
        return self._at_import(mutant, path)

    def _at_import(self, mutant: Mutant, path: str) -> Tried:
        """Tests of the functions that read the name which the statement sets, or of the class that it is in."""
        names, inside = applying.names_set_at(self._sources[mutant.file], mutant)
        wanted = names | ({inside} if inside else set())
        found: set[str] = set()
        for each in self._readers:
            if each.mentions & wanted or (each.file == mutant.file and each.name in names):
                found |= self._coverage.tests_of(str(self._project.root / each.file), each.first, each.last)
        words = re.compile(rf"\b({'|'.join(map(re.escape, wanted))})\b") if wanted else None
        texts: dict[Path, bool] = {}
        for test, item in self._items.items():
            if words is not None and item.path not in texts:
                texts[item.path] = words.search(item.path.read_text()) is not None
            if texts.get(item.path):
                found.add(test)
        if not found:
            found = self._coverage.tests_of(path, 1, 10**6)
        named: Counter[Path] = Counter()
        for test in found:
            if texts.get(self._items[test].path):
                named[self._items[test].path] += 1
        fewest = frozenset(sorted(named, key=lambda each: (named[each], each))[:NAMED_FILES])
        return Tried(mutant, self._in_order(found, mutant.file), named=fewest, whole=not fewest)

    def _for_now(self, tried: Tried) -> list[str]:
        """The tests that the fault is tried by, as many as time allows: quick ones that noticed others of its file come
        first, and a few that did and are not quick come last."""
        if tried.hung:
            return [tried.hung]
        killers = self._killers[tried.mutant.file]
        usable = [test for test in tried.tests if test not in tried.untrusted]
        if not tried.whole:
            usable = [test for test in usable if self._items[test].path in tried.named or killers[test]]
        chosen, seconds = [], 0.0
        for test in sorted(usable, key=lambda each: -killers[each] if self._costs[each] < QUICK_SECONDS else 0):
            seconds += self._coverage.seen[test].work
            if chosen and seconds > self._project.seconds:
                break
            chosen.append(test)
        others = [test for test, _ in killers.most_common() if test in set(usable).difference(chosen)]
        return chosen + others[:MORE_KILLERS]

    def _in_order(self, tests: Iterable[str], file: str) -> list[str]:
        """The quick ones first, and of one test's many parameters one first and the rest late. A test of the file's own
        package comes before those of others that are not much quicker."""
        own = f"tests/{Path(file).parts[1]}/"
        ranked: Counter[str] = Counter()
        keys = {}
        for test in sorted(tests, key=lambda test: (self._costs.get(test, 0.0), test)):
            if test not in self._items or not self._coverage.seen[test].passed:
                continue
            name = test.split("[")[0]
            rank = ranked[name]
            ranked[name] += 1
            cost = self._costs[test] * (1 if test.startswith(own) else FARTHER)
            keys[test] = (min(rank, 1) + (rank > 3), cost, self._coverage.seen[test].cost, test)
        return sorted(keys, key=keys.__getitem__)

    # --- one fault --------------------------------------------------------------------------------------------

    def _job(self, tried: Tried, waiting: deque[Tried], functions: applying.Functions) -> Job:
        tests = self._for_now(tried)
        begun = time.monotonic()
        at = ""
        finished = False

        def heard(message: Message) -> None:
            nonlocal at, finished
            at = message.get("at", at)
            finished = finished or "done" in message
            if "killed" in message:
                tried.killed_by, tried.how = message["killed"], "failed"
            elif "failed" in message:
                tried.killed_by, tried.how = at or "import", message["failed"].strip().split("\n")[-1]

        def over(silent: bool) -> None:
            tried.seconds += time.monotonic() - begun
            if silent and tried.hung is None and tried.killed_by is None:
                tried.hung = at
                waiting.appendleft(tried)
                return
            if finished and tried.hung:  # the machine was busy, and the test is no witness
                tried.untrusted.add(tried.hung)
                tried.hung = None
                waiting.appendleft(tried)
                return
            if tried.killed_by is None and (silent or not finished):
                tried.killed_by, tried.how = at or "import", "hangs" if silent else "died"
            if tried.killed_by is not None:
                self._killers[tried.mutant.file][tried.killed_by] += 1
            if tried.killed_by in self._items and tried.killed_by not in self._trusted:
                waiting.appendleft(tried)
            if tried.killed_by is None and not tried.whole:
                tried.whole = True
                waiting.appendleft(tried)
                return
            self._over += 1
            if tried.killed_by is None:
                self._say(f"  not noticed: {tried.mutant.identity}")
            if self._over % 25 == 0:
                noticed = sum(each.killed_by is not None for each in self.tried)
                self._say(f"  {self._over} of {len(self.tried)} tried, {noticed} noticed")

        def patience() -> float:
            times = MORE_PATIENCE if tried.hung is not None else 1
            if at in self._seconds:
                return times * (PATIENCE + PATIENCE_TIMES * self._seconds[at])
            return times * IMPORT_PATIENCE

        def work(report: Report) -> None:
            path = self._project.root / tried.mutant.file
            if tried.mutant.function is not None:
                try:
                    applying.exchange(path, self._sources[tried.mutant.file], tried.mutant, functions)
                except applying.CannotBeExchanged:
                    pass
                else:
                    self._prepare_child()
                    self._run_until_one_fails(tests, report)
                    return
            self._become_new(tried.mutant, tests, report)

        return Job(work, heard, over, patience)

    def _alone(self, tried: Tried, waiting: deque[Tried]) -> Job:
        """Tell whether the test that noticed the fault passes alone, without a fault."""
        test = tried.killed_by
        assert test is not None
        passed = False

        def heard(message: Message) -> None:
            nonlocal passed
            passed = passed or "done" in message

        def over(silent: bool) -> None:
            if passed and not silent:
                self._trusted.add(test)
            else:
                self.not_counted.append(test)
                tried.untrusted.add(test)
                tried.killed_by = None
                waiting.appendleft(tried)

        def work(report: Report) -> None:
            self._prepare_child()
            self._run_until_one_fails([test], report)

        return Job(work, heard, over, lambda: PATIENCE + PATIENCE_TIMES * self._seconds[test])

    def _run_until_one_fails(self, tests: list[str], report: Report) -> None:
        items = [self._items[test] for test in tests]
        for item, following in zip(items, [*items[1:], None], strict=True):
            report({"at": item.nodeid})
            if _failed(item, following):
                report({"killed": item.nodeid})
                with suppress(BaseException):
                    item.session._setupstate.teardown_exact(None)  # servers that its module has started
                break
        else:
            report({"done": True})
        shutil.rmtree(self._folder / str(os.getpid()), ignore_errors=True)

    def _become_new(self, mutant: Mutant, tests: list[str], report: Report) -> None:
        """The fault acts at import: a new interpreter, of which the pipe to report by is all that is left. If there is
        none, that is no test's doing, and ends the run."""
        try:
            self._begin_anew(mutant, tests, report)
        except BaseException:
            report({"broken": f"no interpreter for {mutant.identity}\n{traceback.format_exc()[-2000:]}"})
            raise

    def _begin_anew(self, mutant: Mutant, tests: list[str], report: Report) -> None:
        self._prepare_child()
        order = self._folder / f"{os.getpid()}.json"
        pipe = report.__closure__[0].cell_contents  # type: ignore[attr-defined]
        order.write_text(
            json.dumps(
                {
                    "root": str(self._project.root),
                    "file": mutant.file,
                    "identity": mutant.identity,
                    "tests": tests,
                    "stores": "both" if self._project.servers else "sqlite",
                    "pipe": pipe,
                }
            )
        )
        os.set_inheritable(pipe, True)
        os.chdir(self._project.root)
        execv(sys.executable, [sys.executable, "-m", "tests.mutants.imported", str(order)])

    def _prepare_child(self) -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        folder = self._folder / str(os.getpid())
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)  # a server of another user may be in it
        os.environ["PYTEST_DEBUG_TEMPROOT"] = os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        if self._project.servers:
            os.environ[postgres.SHARED] = self._project.servers[int(os.environ[children.WORKER])]


def _quick_place() -> str | None:
    """The folder for thousands of small databases: in memory, where there is a place for that."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and shutil.disk_usage(shared).free > 2 * 1024**3 else None


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _failed(item: pytest.Item, following: pytest.Item | None) -> bool:
    return any(report.failed for report in runtestprotocol(item, log=False, nextitem=following))


def _has_wide_fixtures(item: pytest.Item, scopes: Sequence[str] = ("class", "module", "package", "session")) -> bool:
    """Tell whether a fixture of these tests outlives a test: its code is run for others, too."""
    info: Any = getattr(item, "_fixtureinfo", None)
    if info is None:
        return False
    return any(
        each.scope in scopes and each.func.__module__.startswith("tests")
        for definitions in info.name2fixturedefs.values()
        for each in definitions
    )


@dataclass(frozen=True)
class _Reader:
    """A function: the lines of its body, and the names that it mentions."""

    file: str
    name: str
    first: int
    last: int
    mentions: frozenset[str]


def _readers(sources: dict[str, str]) -> list[_Reader]:
    found = []
    for file, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                mentions = frozenset(name for part in node.body for each in ast.walk(part) for name in _names(each))
                found.append(
                    _Reader(file, node.name, node.body[0].lineno, node.body[-1].end_lineno or 0, mentions),
                )
    return found


def _names(node: ast.AST) -> tuple[str, ...]:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
            return (name,)
    return ()
