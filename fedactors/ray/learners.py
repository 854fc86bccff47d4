"""The learners of a federation whose work is done on Ray: clients here, hosts there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import ray

from fedactors.config import Config, known_forms
from fedactors.errors import ConfigError, FedactorsError
from fedactors.learner import LearnerClient, LearnerContext
from fedactors.learner.desk import Fetch
from fedactors.log import get_logger
from fedactors.privacy.sealing import Key
from fedactors.ray.cluster import Cluster, connected
from fedactors.ray.desk import RayDesk
from fedactors.ray.hosts import Hosts
from fedactors.ray.needs import Needs
from fedactors.ray.versions import Versions
from fedactors.transport import Channel

log = get_logger("fedactors.ray")


class RayLearners:
    """Learners of one federation; each is a client of the controller like others, and a host of the cluster does its work."""

    def __init__(self, config: Config, cluster: Cluster, needs: Needs) -> None:
        self._config = config
        self._hosts = Hosts(cluster, needs)
        self._versions = Versions(lambda model: cluster.call(partial(ray.put, model)))

    def taking_part(self, learner: Any, context: LearnerContext, channel: Channel, key: Key | None) -> Coroutine[Any, Any, None]:
        """What has a learner take part until the federation is over.

        Args:
            learner: or an entry; it is pickled now and made on its host.
            context: of the learner.
            channel: to the controller.
            key: to models that are sealed; its host gets it.

        Raises:
            ConfigError: it cannot be pickled.
        """
        self._hosts.add(learner, context, key)
        return self._take_part(context, channel)

    async def _take_part(self, context: LearnerContext, channel: Channel) -> None:
        try:
            declared = await self._hosts.declared(context.id)
        except FedactorsError as error:  # as where learners are made here: who cannot be made ends the run
            self._hosts.fail(error)
            raise

        def desk(fetch: Fetch) -> RayDesk:
            return RayDesk(context.id, self._hosts, self._versions, fetch)

        federation, forms = self._config.name, known_forms()
        await LearnerClient(declared, context.id, channel, federation=federation, forms=forms, desk=desk).run()

    async def failure(self) -> Exception:
        """Wait for what ends the run, and return it."""
        return await self._hosts.failure()

    async def close(self) -> None:
        """End all hosts."""
        await self._hosts.close()


@asynccontextmanager
async def on_ray(config: Config) -> AsyncIterator[RayLearners]:
    """Somewhere for a federation's learners to work, as [ray] says; nothing of it is left running afterwards.

    Raises:
        ConfigError: no node of the cluster has what a learner needs.
        Unreachable: there is no Ray where [ray] says.
    """
    table = config.ray
    needs = Needs(table.cpus_per_learner, table.gpus_per_learner, table.memory_bytes_per_learner)
    async with connected(table.address) as cluster:
        if (said := needs.lacking(await cluster.nodes())) is not None:
            raise ConfigError(said)
        learners = RayLearners(config, cluster, needs)
        try:
            yield learners
        finally:
            await learners.close()
