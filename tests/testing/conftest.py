"""The testing kit's tests run in virtual time, but for those with real sockets."""

import asyncio
from typing import Any

import pytest

from fedactors.testing import VirtualLoop


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Any]:
    if item.get_closest_marker("e2e") is not None:
        return {"real": asyncio.new_event_loop}
    return {"virtual": VirtualLoop}
