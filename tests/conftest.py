"""Settings that all tests share."""

import os
import signal
from collections.abc import Generator
from typing import NoReturn

import pytest
from hypothesis import settings

from tests.support import named_runs

# A deadline for a single example measures how busy the machine is, not the code. All else is as Hypothesis chooses:
# with CI set, its own profile makes the examples the same in every run.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")

# A job in the background (`nohup make test &`, some CI runners) ignores SIGINT, and so would every process that a test
# starts and interrupts. Tests begin with what a terminal gives them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _refuse(*command: object) -> NoReturn:
    raise AssertionError(f"{command}: it would replace pytest itself, whose verdict would then be lost")


# `gateway serve` starts its process again where OpenSSL was loaded too early. In here that is pytest's process, and the
# second run's output would go where the first one captured it: such a test has to run the command in its own process.
os.execv = os.execve = _refuse  # type: ignore[assignment]


def pytest_configure(config: pytest.Config) -> None:
    """Tests that the documents name are watched: one that was skipped shows nothing."""
    named_runs.watch(config)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """Let an interrupt end the run: from Trio it comes in a group, which pytest would count as the test's failure."""
    try:
        return (yield)
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is not None:
            raise KeyboardInterrupt from group
        raise
