"""Loggers of events with keys. They write to the standard library's logging, which shows nothing until an application says so.

    log = get_logger("fedactors.gateway")
    log.info("stream_ended", method=method, why=why)        one event a line, a fixed verb and key=value pairs

`fedactors.observe.logging` configures what the command line shows; an application that embeds fedactors uses handlers of its own.
"""

from __future__ import annotations

import logging

import structlog
from structlog.stdlib import BoundLogger, ProcessorFormatter

logging.getLogger("fedactors").addHandler(logging.NullHandler())

WORDS_CHARS_MAX = 1000
"""Of what a peer says in words, as it is told on."""


def one_line(words: str) -> str:
    """A peer's words as they may stand in a log, a record or on a terminal: one line, and nothing that steers a terminal."""
    line = " ".join(words[:WORDS_CHARS_MAX].split())
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in line)


def get_logger(name: str) -> BoundLogger:
    """The logger of this name; ids that the context binds (`structlog.contextvars`) stand in each of its lines."""
    logger: BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger
