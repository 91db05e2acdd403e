"""Logging: one line an event, keys and values, to standard error; JSON for machines or colours for people."""

import logging
import sys

import structlog

from gateway.app.settings import LoggingSettings

THIRD_PARTY = ("websockets", "grpc", "asyncio")
"""Loggers of libraries on the way of secrets: at DEBUG some print headers in clear. They stay at WARNING."""


def configure(settings: LoggingSettings) -> None:
    """Set up logging for the whole process. Lines below the level cost a look-up and nothing else.

    Tracebacks come without local variables, which structlog and rich would show: passwords and keys are among them.
    """
    level = getattr(logging, settings.level.upper())
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
    if settings.format == "json":
        transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        processors.append(structlog.processors.ExceptionRenderer(transformer))
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(level, logging.INFO), stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    for name in THIRD_PARTY:
        logging.getLogger(name).setLevel(logging.WARNING)
