"""Child processes that report line by line, a few at a time, each ended when it is silent for too long."""

import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count as counting
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]
"""What a child says, by one key or more. ``broken`` ends the run: the harness failed in it, and no test has."""
Report: TypeAlias = Callable[[Message], None]


@dataclass
class Job:
    """Work for a child: ``work`` runs in it; ``heard`` runs here for each message; ``over`` when it has ended, with
    whether it was ended for its silence. ``patience``: seconds until the next message, asked for after each."""

    work: Callable[[Report], None]
    heard: Callable[[Message], None]
    over: Callable[[bool], None]
    patience: Callable[[], float]


class Broken(Exception):
    """The harness failed in a child: what the others say would be worth as little."""


WORKER = "MUTANTS_WORKER"
"""The environment's name for the number of a child's place, from 0: no two children have one at once."""


@dataclass
class _Child:
    job: Job
    place: int
    pid: int
    pipe: int
    until: float
    rest: bytes = b""
    silent: bool = field(default=False)


def reporter(pipe: int) -> Report:
    def report(message: Message) -> None:
        os.write(pipe, json.dumps(message).encode() + b"\n")

    return report


def run(jobs: Iterator[Job], workers: int) -> None:
    """Run all jobs, at most ``workers`` at once. Jobs are taken from the iterator as places become free, so it may
    make them from what earlier ones said. Raises ``Broken``; what is under way is ended then."""
    under_way: list[_Child] = []
    try:
        while True:
            while len(under_way) < workers and (job := next(jobs, None)) is not None:
                place = next(each for each in counting() if each not in {child.place for child in under_way})
                under_way.append(_start(job, place))
            if not under_way:
                return
            _listen(under_way)
            for child in [each for each in under_way if each.pid == 0]:
                under_way.remove(child)
                child.job.over(child.silent)
    finally:
        for child in under_way:
            _end(child)


def _start(job: Job, place: int) -> _Child:
    ours, its = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.environ[WORKER] = str(place)
        _be_child(job, its)
    with suppress(PermissionError):  # of a child that has done so, and by now is another program
        os.setpgid(pid, pid)
    os.close(its)
    return _Child(job, place, pid, ours, time.monotonic() + job.patience())


def _be_child(job: Job, pipe: int) -> None:
    try:
        os.setpgid(0, 0)  # by the parent, too: on a busy machine it may want to end a child that has not run yet
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        job.work(reporter(pipe))
    except BaseException:
        reporter(pipe)({"failed": traceback.format_exc()[-2000:]})
    finally:
        os._exit(0)


def _listen(children: list[_Child]) -> None:
    soonest = min(child.until for child in children)
    readable, _, _ = select.select([c.pipe for c in children], [], [], max(0.0, soonest - time.monotonic()))
    for child in children:
        if child.pipe in readable:
            data = os.read(child.pipe, 65536)
            if not data:
                _reap(child)
                continue
            *lines, child.rest = (child.rest + data).split(b"\n")
            for line in lines:
                message: Message = json.loads(line)
                if "broken" in message:
                    raise Broken(message["broken"])
                child.job.heard(message)
            child.until = time.monotonic() + child.job.patience()
        elif time.monotonic() > child.until:
            child.silent = True
            _end(child)


def _end(child: _Child) -> None:
    """Its group of processes is its own, so nothing else is hit."""
    if child.pid:
        os.killpg(child.pid, signal.SIGKILL)
        _reap(child)


def _reap(child: _Child) -> None:
    """The pipe's end says that the child is over, or about to be."""
    os.waitpid(child.pid, 0)
    os.close(child.pipe)
    child.pid = 0
