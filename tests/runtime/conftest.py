"""The runtime's tests run in virtual time, and their logs go nowhere."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from fedactors.testing import VirtualLoop


def pytest_asyncio_loop_factories() -> dict[str, Any]:
    return {"virtual": VirtualLoop}


class Entries(logging.Handler):
    """Keeps what is logged, each line as the map of its keys."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append({"log_level": record.levelname.lower(), **record.msg})


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    handler, logger = Entries(), logging.getLogger("fedactors.runtime")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler.kept
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
