"""The testing kit's tests run in virtual time."""

from typing import Any

from fedactors.testing import VirtualLoop


def pytest_asyncio_loop_factories() -> dict[str, Any]:
    return {"virtual": VirtualLoop}
