"""Logs: one event a line, key=value pairs for people on stderr, JSON lines for machines in a file.

structlog's loggers and the standard library's (grpc, asyncio, a learner's own) end in the same two places. Ids that are bound
with `structlog.contextvars` stand in every line. Nothing below the command line configures logging.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

LOG_BYTES_MAX = 64 * 1024**2
"""Of one log file; then it is rotated."""
LOG_FILES_KEPT = 3
"""Rotated files beside the current one."""
TALKATIVE = ("asyncio", "grpc")
"""Loggers of which only warnings are taken."""

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


class Logs:
    """The logging that is in force, until it is closed; a context manager."""

    def __init__(self, handlers: list[logging.Handler], level: int) -> None:
        self._handlers = handlers
        root = logging.getLogger()
        self._levels = {logger: logger.level for logger in (root, *map(logging.getLogger, TALKATIVE))}
        for logger in self._levels:
            logger.setLevel(level if logger is root else max(level, logging.WARNING))
        for handler in handlers:
            root.addHandler(handler)

    def close(self) -> None:
        """Write out what is pending and put everything back as it was. Idempotent."""
        for handler in self._handlers:
            logging.getLogger().removeHandler(handler)
            handler.close()
        self._handlers.clear()
        for logger, level in self._levels.items():
            logger.setLevel(level)
        self._levels.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


_in_force: list[Logs] = []


def configure(
    level: str = "info",
    *,
    console: str | None = "info",
    file: Path | None = None,
    tracebacks: bool = False,
    ids: Mapping[str, Any] | None = None,
) -> Logs:
    """Send logs to stderr and to a file. Called again, it takes the place of what was configured before.

    Args:
        level: the least level that the file takes: debug, info, warning or error.
        console: the least level that stderr takes; None: nothing is written there.
        file: takes JSON lines; its directory is made. None: no file.
        tracebacks: show them on stderr too; the file always has them.
        ids: stand in every line of this context and of the tasks begun in it.
    """
    while _in_force:
        _in_force.pop().close()
    handlers = []
    if console is not None:
        handlers.append(_console_handler(console, tracebacks))
    if file is not None:
        handlers.append(_file_handler(file, level))
    lowest = min((handler.level for handler in handlers), default=logging.CRITICAL)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**(ids or {}))
    logs = Logs(handlers, lowest)
    _in_force.append(logs)
    return logs


@contextmanager
def file_of(file: Path, level: str, **ids: object) -> Iterator[None]:
    """Have a file of its own take what is logged in contexts that bind these ids, beside what is configured."""
    handler, root = _file_handler(file, level), logging.getLogger()
    handler.addFilter(lambda _: structlog.contextvars.get_contextvars().items() >= ids.items())
    if _in_force:  # it sets the levels back when it is closed
        root.setLevel(min(root.level, handler.level))
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to whatever sys.stderr is at the time, so that a live display can keep lines out of its picture."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # the base's attribute, looked up anew each time
        return sys.stderr


def _console_handler(level: str, tracebacks: bool) -> logging.Handler:
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
    )
    return _formatted(_Stderr(), level, [_short_time, renderer] if tracebacks else [_short_time, _error_in_a_word, renderer])


def _file_handler(file: Path, level: str) -> logging.Handler:
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(file, maxBytes=LOG_BYTES_MAX, backupCount=LOG_FILES_KEPT, encoding="utf-8")
    return _formatted(handler, level, [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()])


def _formatted(handler: logging.Handler, level: str, last: list[Processor]) -> logging.Handler:
    handler.setLevel(level.upper())
    processors = [ProcessorFormatter.remove_processors_meta, *last]
    handler.setFormatter(ProcessorFormatter(foreign_pre_chain=_SHARED, processors=processors))
    return handler


def _short_time(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The local time of day; the file has the date and the microseconds."""
    return {**event, "timestamp": f"{datetime.fromisoformat(event['timestamp']).astimezone():%H:%M:%S}"}


def _error_in_a_word(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """`error="ValueError: no"` in place of the traceback."""
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event.setdefault("error", f"{type(error).__name__}: {error}")
    return event
