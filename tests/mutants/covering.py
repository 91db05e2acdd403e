"""Which test runs which line: traced once for each test, and kept in an ignored folder by files of tests.

Lines are kept by function, counted from its first. A function that moved, or whose file was renamed, is found again by
its text; of one that was changed all lines count as run by the tests that ran any. So a change in the code costs no new
run: what is kept only chooses the tests that a fault is tried by, and a test too few notices a fault less, never one
more. ``--fresh`` traces everything anew.
"""

import ast
import hashlib
import json
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any


@dataclass
class Seen:
    """The record of one test: how long it took by the wall and of the processor, whether it passed, and the lines that
    it ran by file."""

    seconds: float
    work: float
    passed: bool
    lines: dict[str, list[int]]

    @property
    def cost(self) -> float:
        """The cost by which tests are ordered: work and, less so, waiting."""
        return self.work + self.seconds / 10


class Tracer:
    """Notes the lines of some files that are run, in all threads started since."""

    def __init__(self, files: Iterable[str]) -> None:
        self._files = frozenset(files)
        self._hit: set[tuple[str, int]] = set()
        self._wanted: dict[CodeType, bool] = {}

    def start(self) -> None:
        threading.settrace(self._called)
        sys.settrace(self._called)

    def stop(self) -> None:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]

    def taken(self) -> dict[str, list[int]]:
        """The lines run since the last call, by file."""
        hit, self._hit = self._hit, set()
        by_file: defaultdict[str, list[int]] = defaultdict(list)
        for file, line in sorted(hit):
            by_file[file].append(line)
        return dict(by_file)

    def _called(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        code = frame.f_code
        wanted = self._wanted.get(code)
        if wanted is None:
            wanted = self._wanted[code] = code.co_filename in self._files
        if not wanted:
            return None
        self._hit.add((code.co_filename, frame.f_lineno))
        return self._line

    def _line(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        self._hit.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line


@dataclass
class Coverage:
    """Line → tests, for the lines of some files."""

    seen: dict[str, Seen] = field(default_factory=dict)
    """By test."""
    by_line: dict[tuple[str, int], list[str]] = field(default_factory=dict)

    def add(self, test: str, seen: Seen) -> None:
        self.seen[test] = seen
        if seen.passed:
            for file, lines in seen.lines.items():
                for line in lines:
                    self.by_line.setdefault((file, line), []).append(test)

    def tests_of(self, file: str, first: int, last: int) -> set[str]:
        return {test for line in range(first, last + 1) for test in self.by_line.get((file, line), ())}

    def failed(self) -> list[str]:
        return sorted(test for test, seen in self.seen.items() if not seen.passed)


def digest(files: Iterable[Path]) -> str:
    """Of names and contents."""
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(str(file).encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()[:32]


@dataclass(frozen=True)
class Function:
    """An outermost function of a target, or a method: its lines, and a digest of its text."""

    file: str
    name: str
    text: str
    first: int
    last: int


class Functions:
    """All functions of some files, by line and by text. Files are named relative to ``root`` where they are kept."""

    def __init__(self, root: Path, sources: dict[str, str]) -> None:
        self._root = root
        self._by_file: dict[str, list[Function]] = {}
        self._by_name: defaultdict[str, list[Function]] = defaultdict(list)
        self._by_text: defaultdict[str, list[Function]] = defaultdict(list)
        for file, source in sources.items():
            self._by_file[file] = found = list(_functions(file, source))
            for each in found:
                self._by_name[each.name].append(each)
                self._by_text[each.text].append(each)

    def kept(self, lines: dict[str, list[int]]) -> dict[str, list[int]]:
        """Lines by absolute file, as they are kept. What is run at import belongs to no function, and is left out."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for file, numbers in lines.items():
            name = str(Path(file).relative_to(self._root))
            for number in numbers:
                for each in self._by_file.get(name, ()):
                    if each.first <= number <= each.last:
                        found[f"{each.file}::{each.name}::{each.text}"].append(number - each.first)
        return dict(found)

    def lines(self, kept: dict[str, list[int]]) -> dict[str, list[int]]:
        """Lines by absolute file, as the files are now."""
        found: defaultdict[str, set[int]] = defaultdict(set)
        for key, offsets in kept.items():
            file, name, text = key.split("::")
            same = self._by_text.get(text, [])
            same = [each for each in same if each.name == name] or same  # else its class was renamed
            chosen = same or self._by_name.get(name, [])
            for each in [one for one in chosen if one.file == file] or chosen:
                run = offsets if same else range(each.last - each.first + 1)
                found[str(self._root / each.file)] |= {each.first + offset for offset in run}
        return {file: sorted(numbers) for file, numbers in found.items()}


def _functions(file: str, source: str) -> Iterator[Function]:
    rows = source.split("\n")

    def walk(node: ast.AST, names: tuple[str, ...]) -> Iterator[Function]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([child.lineno, *(each.lineno for each in child.decorator_list)])
                last = child.end_lineno or first
                text = hashlib.sha256("\n".join(rows[first - 1 : last]).encode()).hexdigest()[:16]
                yield Function(file, ".".join((*names, child.name)), text, first, last)
            elif isinstance(child, ast.ClassDef):
                yield from walk(child, (*names, child.name))
            else:
                yield from walk(child, names)

    return walk(ast.parse(source), ())


def _tests_in(file: Path) -> dict[str, Any]:
    """The tests of a file of traces; empty: it is damaged, or of another form."""
    try:
        tests = json.loads(file.read_text())["tests"]
    except (ValueError, TypeError, KeyError):
        return {}
    return tests if isinstance(tests, dict) else {}


class Kept:
    """Traces of earlier runs, one file for each file of tests. ``state``: a digest of what the tests ran on."""

    def __init__(self, folder: Path, functions: Functions, state: str) -> None:
        self._folder = folder
        self._functions = functions
        self._state = state
        self._earlier: dict[Path, dict[str, Any]] | None = None

    def get(self, key: str, path: str) -> dict[str, Seen] | None:
        """By test of the file at ``path``. None where some failed on another state of the code: they may pass now."""
        try:
            stored = json.loads((self._folder / f"{key}.json").read_text())
            seen = {f"{path}::{test}": Seen(**each) for test, each in stored["tests"].items()}
            if stored["state"] != self._state and not all(each.passed for each in seen.values()):
                return None
            for each in seen.values():
                each.lines = self._functions.lines(each.lines)
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):  # none, damaged, of another form
            return None
        return seen

    def like(self, path: str, tests: Sequence[str]) -> dict[str, Seen]:
        """By test of the file at ``path``: traces of an earlier text of the file, as the one that has most of these
        tests in common tells. A test that was changed since runs other lines maybe, and notices less by that."""
        if self._earlier is None:
            self._earlier = {file: each for file in self._folder.glob("*.json") if (each := _tests_in(file))}
        wanted = set(tests)
        common = {file: len(wanted & each.keys()) for file, each in self._earlier.items()}
        best = max(common, key=lambda file: common[file], default=None)
        if best is None or 2 * common[best] < min(len(wanted), len(self._earlier[best])):
            return {}
        found = {f"{path}::{test}": Seen(**each) for test, each in self._earlier[best].items() if test in wanted}
        for each in found.values():
            each.lines = self._functions.lines(each.lines)
        return {test: each for test, each in found.items() if each.passed}

    def put(self, key: str, seen: dict[str, Seen]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        tests = {
            test.partition("::")[2]: vars(each) | {"lines": self._functions.kept(each.lines)}
            for test, each in seen.items()
        }
        part = self._folder / f"{key}.part"
        part.write_text(json.dumps({"state": self._state, "tests": tests}))
        part.replace(self._folder / f"{key}.json")
