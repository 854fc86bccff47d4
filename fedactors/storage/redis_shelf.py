"""Models in chunks, and their index, in a Redis or Valkey server. What the keys are is told in `redis.py`."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import redis
from typing_extensions import override

from fedactors.errors import ModelError, StoreError
from fedactors.log import get_logger
from fedactors.model import Buffer, Layout
from fedactors.storage.entries import Entry, Key, checked, digest
from fedactors.storage.redis_link import Link
from fedactors.storage.shelf import Shelf

FORMAT = b"1"
LOST = b"LOST"
BATCH_BYTES = 16 * 1024**2
"""Of chunks that are under way at the same time."""
REMOVED_MAX = 1_000
"""Models that are forgotten in one step of the server, which serves nobody else meanwhile."""

_CHANGE = """
local writer = redis.call('GET', KEYS[1])
if writer ~= ARGV[1] then return writer or '' end
local change = cjson.decode(ARGV[2])
for number = 0, change.written - 1 do
    if redis.call('EXISTS', KEYS[5] .. number) == 0 then return 'LOST' end
end
for _, new in ipairs(change.new) do
    redis.call('HSET', KEYS[2], new.field, new.value)
    redis.call('HSETNX', KEYS[3], new.layout, new.specs)
    redis.call('HDEL', KEYS[4], new.place)
end
for _, gone in ipairs(change.gone) do
    redis.call('HSET', KEYS[4], gone.place, gone.chunks)
    redis.call('HDEL', KEYS[2], gone.field)
end
return writer
"""
"""In one step: entries come and go, unless somebody else writes by now, which is the answer, or a chunk that was written is not
there any more: a server may be restarted, and not know what it knew."""

log = get_logger("fedactors.storage")


@dataclass(frozen=True, slots=True)
class Chunks:
    """Where a model lies.

    Attributes:
        place: a name that no other model's chunks ever have.
        number: of chunks.
        nbytes: of each chunk but the last.
    """

    place: str
    number: int
    nbytes: int


NO_CHUNKS = Chunks("", 0, 0)


class RedisShelf(Shelf):
    """One namespace of a server."""

    def __init__(self, link: Link, namespace: str, chunk_bytes: int) -> None:
        """Open it: nobody who opened it before can write any more.

        Raises:
            StoreError: the server is away, or refuses, or the namespace holds something else.
        """
        self._link = link
        self._prefix = f"fedactors:{{{namespace}}}:"
        self._chunk_bytes = chunk_bytes
        self._writer = secrets.token_hex(8)
        self._chunks: dict[int, Chunks] = {}
        try:
            self._begin()
        except BaseException:
            link.close()
            raise

    def _begin(self) -> None:
        self._link.ask(lambda client: client.setnx(self._key("format"), FORMAT), patient=False)
        found = self._link.ask(lambda client: client.get(self._key("format")))
        if found != FORMAT:
            raise StoreError(
                f"{self._key('format')} at {self._link.place} is {found!r:.40}, not {FORMAT!r}: something else writes there; "
                "give another namespace"
            )
        self._link.ask(lambda client: client.set(self._key("writer"), self._writer))
        self._warn_of_eviction()
        left = self._link.ask(lambda client: client.hgetall(self._key("pending")))
        for place, number in left.items():
            self._remove_chunks(Chunks(place.decode(), int(number), 0))

    def _warn_of_eviction(self) -> None:
        with suppress(StoreError):  # the server may keep its settings to itself
            memory = self._link.ask(lambda client: client.info("memory"))
            policy = str(memory.get("maxmemory_policy"))
            if memory.get("maxmemory") and policy.startswith("allkeys"):
                log.warning("server_evicts_models", place=self._link.place, maxmemory_policy=policy, remedy="set noeviction")

    @override
    def entries(self) -> list[Entry]:
        index = self._link.ask(lambda client: client.hvals(self._key("index")))
        specs = self._link.ask(lambda client: client.hgetall(self._key("layouts")))
        try:
            layouts = {key.decode(): Layout.from_specs(json.loads(value)) for key, value in specs.items()}
            return sorted((self._entry(json.loads(value), layouts) for value in index), key=lambda entry: entry.serial)
        except (ValueError, KeyError, TypeError, RecursionError, ModelError) as error:
            raise StoreError(
                f"{self._key('index')} at {self._link.place} is damaged: {error!r}; restore it, or give another namespace"
            ) from error

    def _entry(self, told: dict[str, Any], layouts: dict[str, Layout]) -> Entry:
        self._chunks[told["serial"]] = Chunks(*told["chunks"])
        key, layout = Key(told["owner"], told["number"]), layouts[told["layout"]]
        return checked(Entry(key, told["base"], layout, told["digest"], told["created_unix_s"], told["serial"], told["facts"]))

    @override
    def write(self, entry: Entry, buffer: Buffer, going: Sequence[Entry]) -> None:
        place = f"{self._writer}-{entry.serial}"
        chunks = Chunks(place, -(-entry.nbytes // self._chunk_bytes), self._chunk_bytes)
        try:
            for batch in self._batches(chunks):
                self._write_chunks(chunks, batch, buffer)
        except StoreError:
            with suppress(StoreError):  # what is left of it is removed on the next opening
                self._remove_chunks(chunks, patient=False)
            raise
        self._chunks[entry.serial] = chunks
        try:
            self._change([entry], going, chunks)
        except StoreError:
            del self._chunks[entry.serial]  # the server may have it nevertheless: its chunks stay
            raise
        self._sweep(going)

    def _write_chunks(self, chunks: Chunks, batch: range, buffer: Buffer) -> None:
        def write(client: redis.Redis) -> None:
            with client.pipeline(transaction=False) as pipeline:
                pipeline.hset(self._key("pending"), chunks.place, chunks.number)  # before the first chunk, in any case
                for index in batch:
                    start = index * chunks.nbytes
                    pipeline.set(self._chunk_key(chunks, index), buffer.data[start : start + chunks.nbytes])
                pipeline.execute()

        self._link.ask(write)

    @override
    def read(self, entry: Entry) -> Buffer:
        chunks, buffer = self._chunks[entry.serial], np.empty(entry.nbytes, np.uint8)
        for batch in self._batches(chunks):
            keys = [self._chunk_key(chunks, index) for index in batch]
            values = self._link.ask(partial(_values, keys))
            for index, key, value in zip(batch, keys, values, strict=True):
                into = buffer.data[index * chunks.nbytes : (index + 1) * chunks.nbytes]
                if value is None or len(value) != len(into):
                    raise StoreError(
                        f"{entry.key} is damaged: the key {key} at {self._link.place} "
                        f"{'is missing: it was removed, or evicted' if value is None else f'has {len(value):,} bytes'}; "
                        "set the server's maxmemory-policy to noeviction, and go on from another version"
                    )
                into[:] = value
        if digest(buffer) != entry.digest:
            raise StoreError(
                f"{entry.key} is damaged: what {self._chunk_key(chunks, 0)} and the following keys at {self._link.place} hold "
                "is not what was put; go on from another version"
            )
        buffer.flags.writeable = False
        return buffer

    @override
    def note(self, entry: Entry) -> None:
        self._change([entry], [])

    @override
    def remove(self, entries: Sequence[Entry]) -> None:
        for start in range(0, len(entries), REMOVED_MAX):
            self._change([], entries[start : start + REMOVED_MAX])
        self._sweep(entries)

    @override
    def close(self) -> None:
        self._link.close()

    @override
    def interrupt(self) -> None:
        self._link.interrupt()

    # ----------------------------------------------------------------------------------------------------------------- the index

    def _change(self, new: Sequence[Entry], gone: Sequence[Entry], written: Chunks = NO_CHUNKS) -> None:
        change = {
            "new": [self._told(entry) for entry in new],
            "gone": [self._going(entry) for entry in gone],
            "written": written.number,
        }
        keys = [self._key(name) for name in ("writer", "index", "layouts", "pending", f"chunk:{written.place}:")]
        said = self._link.ask(lambda client: client.eval(_CHANGE, len(keys), *keys, self._writer, json.dumps(change)))
        if said in (b"", LOST):
            raise StoreError(
                f"the model store's server at {self._link.place} has lost keys of {self._prefix}: it evicts them, or was "
                "restarted without persistence; set maxmemory-policy to noeviction and appendonly to yes, and start again"
            )
        if said.decode() != self._writer:
            raise StoreError(f"another controller has opened {self._prefix} at {self._link.place}; stop one of the two")

    def _told(self, entry: Entry) -> dict[str, str]:
        chunks = self._chunks[entry.serial]
        layout = entry.layout.digest.hex()
        value = {
            "owner": entry.key.owner,
            "number": entry.number,
            "base": entry.base,
            "layout": layout,
            "digest": entry.digest,
            "created_unix_s": entry.created_unix_s,
            "serial": entry.serial,
            "facts": entry.facts,
            "chunks": [chunks.place, chunks.number, chunks.nbytes],
        }
        specs = json.dumps(entry.layout.specs, separators=(",", ":"))
        return {"field": _field(entry), "value": json.dumps(value), "layout": layout, "specs": specs, "place": chunks.place}

    def _going(self, entry: Entry) -> dict[str, Any]:
        chunks = self._chunks[entry.serial]
        return {"field": _field(entry), "place": chunks.place, "chunks": chunks.number}

    # ---------------------------------------------------------------------------------------------------------------- the chunks

    def _batches(self, chunks: Chunks) -> Iterator[range]:
        at_once = max(1, BATCH_BYTES // chunks.nbytes)
        return (range(start, min(start + at_once, chunks.number)) for start in range(0, chunks.number, at_once))

    def _sweep(self, gone: Sequence[Entry]) -> None:
        """Remove the chunks of what the index has forgotten; what is left in the end is removed on the next opening."""
        for entry in gone:
            chunks = self._chunks.pop(entry.serial)
            try:
                self._remove_chunks(chunks, patient=False)
            except StoreError as error:
                log.warning("chunks_not_removed", model=str(entry.key), error=str(error))

    def _remove_chunks(self, chunks: Chunks, *, patient: bool = True) -> None:
        def remove(client: redis.Redis) -> None:
            with client.pipeline(transaction=True) as pipeline:
                if chunks.number:
                    pipeline.unlink(*(self._chunk_key(chunks, index) for index in range(chunks.number)))
                pipeline.hdel(self._key("pending"), chunks.place)
                pipeline.execute()

        self._link.ask(remove, patient=patient)

    def _chunk_key(self, chunks: Chunks, index: int) -> str:
        return self._key(f"chunk:{chunks.place}:{index}")

    def _key(self, name: str) -> str:
        return self._prefix + name


def _values(keys: list[str], client: redis.Redis) -> list[bytes | None]:
    found: list[bytes | None] = client.mget(keys)
    return found


def _field(entry: Entry) -> str:
    return f"{entry.number}:{entry.key.owner or ''}"
