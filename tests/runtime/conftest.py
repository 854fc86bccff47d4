"""The runtime's tests run in virtual time, and their logs go nowhere."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from fedactors.testing import VirtualLoop


def pytest_asyncio_loop_factories() -> dict[str, Any]:
    return {"virtual": VirtualLoop}


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as entries:
        yield entries
