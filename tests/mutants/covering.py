"""Which test runs which line: traced once for a version of the code, and kept in an ignored folder.

What is kept belongs to a digest of the sources and of the file that the test is in, so a new test costs only a run of
its own file.
"""

import hashlib
import json
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any


@dataclass
class Seen:
    """What one test did: how long it took by the wall and of the processor, whether it passed, and the lines that it
    ran by file."""

    seconds: float
    work: float
    passed: bool
    lines: dict[str, list[int]]

    @property
    def cost(self) -> float:
        """What makes a test come late: its work and, less so, its waiting."""
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


class Kept:
    """What was traced earlier, one file for each file of tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> dict[str, Seen] | None:
        try:
            stored = json.loads((self._folder / f"{key}.json").read_text())
            return {test: Seen(**seen) for test, seen in stored.items()}
        except (FileNotFoundError, ValueError, TypeError):  # none, damaged, or of another form
            return None

    def put(self, key: str, seen: dict[str, Seen]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        whole = json.dumps({test: vars(each) for test, each in seen.items()})
        part = self._folder / f"{key}.part"
        part.write_text(whole)
        part.replace(self._folder / f"{key}.json")
