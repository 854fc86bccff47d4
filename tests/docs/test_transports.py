"""docs/transports.md: its configuration is run over TCP, in one process, and its commands are some."""

from __future__ import annotations

import asyncio
import tomllib
from types import SimpleNamespace

from fedactors import Federation
from fedactors import config as configuration
from fedactors.learner import LearnerClient
from fedactors.learner.worker import inline
from fedactors.transport.tcp import TcpTransport
from tests.docs.test_code_blocks import ROOT, blocks, parsed, words

PAGE = ROOT / "docs" / "transports.md"
(CONFIGURATION,) = [text for language, text in blocks(PAGE) if language == "toml"]
(COMMANDS,) = [text for language, text in blocks(PAGE) if language == "bash"]
LEARNER = next(text for language, text in blocks(ROOT / "README.md") if language == "python")


async def test_the_page_s_federation_runs_over_tcp():
    """The port is another one, so that the test does not depend on who else listens; everything else is as written."""
    config, written = configuration.from_mapping(tomllib.loads(CONFIGURATION)), {}
    exec(LEARNER, written)
    assert config.controller.address.startswith("tcp://127.0.0.1:")
    async with asyncio.timeout(30), Federation(config, addresses=["tcp://127.0.0.1:0"]) as federation:
        channels = [TcpTransport().connect(federation.addresses[0]) for _ in range(config.learners.count)]
        async with asyncio.TaskGroup() as group:
            for index, channel in enumerate(channels):
                learner = written["Line"](SimpleNamespace(index=index))
                group.create_task(LearnerClient(learner, f"learner-{index}", channel, work=inline).run())
            await federation.admin.order("start")
            committed = [event.body["round"] async for event in federation.events() if event.kind == "round_committed"]
        for channel in channels:
            await channel.close()
    assert committed == [1, 2, 3]


def test_the_page_s_commands_are_some():
    told = [parsed(words(line)).info_name for line in COMMANDS.splitlines()]
    assert told == ["controller", "learner", "learner", "driver"]
