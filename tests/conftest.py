"""Settings that all tests share."""

import gc
import os
import signal
from collections.abc import Generator
from typing import NoReturn

import pytest
import structlog
from hypothesis import given, settings, strategies

from tests.support import named_runs, scratch

# A deadline for a single example measures how busy the machine is, not the code. All else is as Hypothesis chooses:
# with CI set, its own profile makes the examples the same in every run.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")

scratch.choose()

# Rich, which comes with other tools, would show each logged exception with the source around every line of it, which
# takes a second.
structlog.dev.ConsoleRenderer.get_active().exception_formatter = structlog.dev.plain_traceback

# A job in the background (`nohup make test &`, some CI runners) ignores SIGINT, and so would every process that a test
# starts and interrupts. Tests begin with what a terminal gives them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _refuse(*command: object) -> NoReturn:
    raise AssertionError(f"{command}: it would replace pytest itself, whose verdict would then be lost")


# `gateway serve` starts its process again where OpenSSL was loaded too early. In here that is pytest's process, and the
# second run's output would go where the first one captured it: such a test has to run the command in its own process.
os.execv = os.execve = _refuse  # type: ignore[assignment]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The stores that tests of the store run on."""
    parser.addoption("--stores", choices=("sqlite", "postgres", "both"), default="sqlite", help="those of tests/store")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of stores that were not asked for."""
    wanted = config.getoption("--stores")
    if wanted == "both":
        return
    left_out = [item for item in items if (item.get_closest_marker("postgres") is None) == (wanted == "postgres")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from all that collecting makes: twenty thousand tests and a thousand modules stay to
    the end. To look at them again and again took two fifths of collecting's time, and half a second of each test that
    collects by itself."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        _begin_hypothesis()
        gc.freeze()


@settings(max_examples=1, database=None)
@given(strategies.none())
def _begin_hypothesis(_: None) -> None:
    """Have Hypothesis register its source of randomness: it looks, once, for what refers to that, and finds nothing of
    what is frozen."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say by name what is left out."""
    if config.getoption("--stores") == "sqlite":
        terminalreporter.write_line("left out: the store on PostgreSQL (`make test-postgres` tests it)")


def pytest_configure(config: pytest.Config) -> None:
    """Tests that the documents name are watched: one that was skipped shows nothing."""
    config.addinivalue_line("markers", "postgres: needs a PostgreSQL; runs with --stores postgres or both")
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
