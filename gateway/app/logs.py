"""Logging: one line an event, keys and values, to standard error; JSON for machines or colours for people.

Everything that Python code writes to standard error goes through one ``LogWriter``: structlog's lines, the standard
library's loggers, warnings, tracebacks of threads. So nothing that is logged, by whatever thread, waits for a reader.
gRPC's core, which writes to the descriptor directly, is silenced (``gateway.client``).
"""

import atexit
import logging
import sys
from collections.abc import Callable, MutableMapping
from functools import partial
from typing import Any

import structlog

from gateway.app.log_levels import FilteredLogger, apply
from gateway.app.log_writer import LogWriter, StderrRedirected
from gateway.app.settings import LoggingSettings

THIRD_PARTY = ("websockets", "grpc", "asyncio")
"""Loggers of libraries on the way of secrets: at DEBUG some print headers in clear. They stay at WARNING."""

STDERR = 2


class _Logging:
    """The process's one writer, once there is one."""

    writer: LogWriter | None = None
    redirected: StderrRedirected | None = None


class _Lines:
    """Receiver of structlog's rendered lines."""

    def msg(self, line: str) -> None:
        if _Logging.writer is not None:
            _Logging.writer.put(line)
        else:
            print(line, file=sys.stderr)

    log = debug = info = warn = warning = error = critical = fatal = failure = exception = msg


class _Handler(logging.Handler):
    """The standard library's loggers, on the same way."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _Lines().msg(self.format(record))
        except Exception:
            self.handleError(record)


def configure(settings: LoggingSettings, slot: int | None = None) -> None:
    """Set up logging for the whole process; each line has its ``slot``, where it is one of several that log to one
    place. Lines below the level cost a look-up and nothing else.

    Tracebacks come without local variables, which structlog and rich would show: passwords and keys are among them.
    Until ``close``, or the end of the process, ``sys.stderr`` never blocks.
    """
    close()
    level = getattr(logging, settings.level.upper())
    apply(level)
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    processors: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if slot is not None:
        processors.insert(0, partial(_with_slot, slot))
    if settings.format == "json":
        transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        processors.append(structlog.processors.ExceptionRenderer(transformer))
    processors.append(renderer)
    _Logging.writer = LogWriter(STDERR, _dropped_line(processors))
    _Logging.redirected = StderrRedirected(_Logging.writer, STDERR)
    atexit.register(close)
    structlog.configure(
        processors=processors,
        wrapper_class=FilteredLogger,
        logger_factory=lambda *_: _Lines(),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=max(level, logging.INFO), handlers=[_Handler()], format="%(levelname)s %(name)s %(message)s"
    )
    for name in THIRD_PARTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _with_slot(slot: int, _: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The line of a process that has this slot."""
    event["slot"] = slot
    return event


def close() -> None:
    """Write what waits, within bounds, and write directly from then on. Repeating it does nothing."""
    writer, redirected = _Logging.writer, _Logging.redirected
    _Logging.writer = _Logging.redirected = None
    if redirected is not None:
        redirected.restore()
    if writer is not None:
        atexit.unregister(close)
        writer.close()


def dropped() -> int:
    """Lines that could not be written so far."""
    return 0 if _Logging.writer is None else _Logging.writer.dropped


def _dropped_line(processors: list[structlog.types.Processor]) -> Callable[[int], str]:
    """Makes the line that says how many are missing, in the log's own form."""

    def made(missing: int) -> str:
        event: Any = {"event": "log lines dropped", "dropped": missing}
        for each in processors:
            event = each(None, "warning", event)
        return str(event)

    return made
