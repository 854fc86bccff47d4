"""The actor that keeps every committed version, and hands each out as frames that are encoded once."""

from __future__ import annotations

from collections import OrderedDict

from fedactors.actors.messages import (
    DescribeVersion,
    ForgetRuleStates,
    ForgetUpdates,
    GetBlob,
    GetModel,
    GetRuleStates,
    GetUpdate,
    GetVersions,
    PutModel,
    ReplaceModels,
    ToModelStore,
)
from fedactors.errors import NoSuchModel, Rejected, StoreError
from fedactors.log import get_logger
from fedactors.model import GlobalModel, Version
from fedactors.protocol import EncodedBlob
from fedactors.protocol.blobs import FRAMES_KEPT_BYTES_MAX
from fedactors.runtime import Actor, handle
from fedactors.storage.base import Storage
from fedactors.storage.entries import Entry, LearnerModel, RuleState, rule_owner
from fedactors.storage.facts import of_round

log = get_logger("fedactors.model_store")

UPDATES_SEARCHED = 1_000
"""Of one learner: more never count in one round."""
BLOBS_KEPT = 2
"""Encoded versions in memory: the newest, and the one before it for learners that are still at it."""
LEAN_FRAMES_BYTES_MAX = 16 * 1024**2
"""Of frames that are kept of a large model: those that streams which run side by side are at."""


class ModelStore(Actor[ToModelStore]):
    """Fronts a storage backend, which is open already and outlives a restart of this actor."""

    def __init__(self, storage: Storage, chunk_bytes: int, *, is_lean: bool = False) -> None:
        """In front of a backend; `is_lean`: hold no version in memory but the newest, for models that are large."""
        self._storage = storage
        self._chunk_bytes = chunk_bytes
        self._frames_bytes_max = LEAN_FRAMES_BYTES_MAX if is_lean else FRAMES_KEPT_BYTES_MAX
        self._is_lean = is_lean
        self._newest: Version | None = None
        self._blobs: OrderedDict[Version, EncodedBlob] = OrderedDict()

    @handle
    async def put(self, message: PutModel) -> None:
        """Keep a version, what a learner sent back, or what the rule keeps."""
        await self._storage.put(message.model)
        if isinstance(message.model, GlobalModel):
            self._newest = message.model.version
            self._encode(message.model)  # learners will ask for it, and reading it back would take time
            if self._is_lean:
                await self._let_go(message.model.version)

    async def _let_go(self, newest: Version) -> None:
        """Send older versions from where the backend has them."""
        for version in [version for version in self._blobs if version != newest]:
            try:
                self._blobs[version].move((await self._storage.get(version)).buffer)
            except StoreError:
                del self._blobs[version]  # who is at it has it; nobody else will get it

    @handle
    async def replace(self, message: ReplaceModels) -> None:
        """Keep a version that was made elsewhere, whatever its number is, and no other."""
        await self._storage.expunge()
        self._blobs.clear()
        await self.put(PutModel(message.model))

    @handle
    async def update(self, message: GetUpdate) -> LearnerModel:
        """What a learner sent back."""
        async for model in self._storage.select([message.learner], UPDATES_SEARCHED):
            if model.sequence == message.sequence:
                return model
        raise Rejected(f"no model {message.sequence} of learner {message.learner!r} is kept")

    @handle
    async def forget_updates(self, message: ForgetUpdates) -> None:
        """What these learners sent back is in a version now."""
        await self._storage.erase(message.learners)

    @handle
    async def rule_states(self, message: GetRuleStates) -> list[RuleState]:
        """What the rule kept with the newest version."""
        return await self._storage.rule_states(message.version)

    @handle
    async def forget_rule_states(self, message: ForgetRuleStates) -> None:
        """The rule does not keep them any more."""
        await self._storage.erase([rule_owner(learner) for learner in message.learners])

    @handle
    async def describe(self, message: DescribeVersion) -> None:
        """Write down what is known of a version. No run fails because nobody will know."""
        version = message.record.version
        try:
            await self._storage.describe(version, of_round(message.record))
        except NoSuchModel:
            return  # it made room before its evaluation was over
        except StoreError as error:
            log.warning("version_not_described", version=version, error=str(error))

    @handle
    async def versions(self, _: GetVersions) -> list[Entry]:
        """What is kept."""
        try:
            return await self._storage.lineage(None)
        except StoreError as error:
            raise Rejected(str(error)) from error

    @handle
    async def get(self, message: GetModel) -> GlobalModel:
        """A version as a model; Rejected where there is none."""
        try:
            return await self._find(message.version)
        except NoSuchModel as error:
            raise Rejected(str(error)) from error

    @handle
    async def blob(self, message: GetBlob) -> EncodedBlob:
        """A version as frames. Rejected, too, where it cannot be read: that is told to whoever asked, and others go on."""
        version = self._newest if message.version is None else message.version
        if version is not None and version in self._blobs:
            return self._blobs[version]
        try:
            model = await self._find(version)
        except StoreError as error:
            raise Rejected(str(error)) from error
        return self._blobs.get(model.version) or self._encode(model)

    def _encode(self, model: GlobalModel) -> EncodedBlob:
        blob = self._blobs[model.version] = EncodedBlob(
            model.version, model.layout, model.buffer, self._chunk_bytes, self._frames_bytes_max
        )
        while len(self._blobs) > BLOBS_KEPT:
            self._blobs.popitem(last=False)
        return blob

    async def _find(self, version: Version | None) -> GlobalModel:
        if version is None:
            versions = await self._storage.versions()
            if not versions:
                raise NoSuchModel("there is no global model yet")
            version = self._newest = versions[-1]
        return await self._storage.get(version)
