"""Hostile transfers of weights: (name, what is done, what is answered)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import msgpack
import numpy as np

from fedactors.model import Layout
from fedactors.protocol import FETCH, PUSH, Evaluated
from fedactors.protocol._pb import federation_pb2 as pb
from fedactors.protocol.blob_wire import encode_fetch, encode_opening
from fedactors.protocol.chunks import encode_chunk, write_chunk
from fedactors.protocol.messages import FetchRequest
from fedactors.task import EvaluationReport, TaskKind, TrainReport
from fedactors.transport import Stream
from tests.hostile.scene import LAYOUT, MODEL, Mallory, Scene, in_words

VALUES = LAYOUT.pack(MODEL).data
FIRST = len(VALUES) // 2
CHUNK = encode_chunk(0, VALUES)
UNKNOWN = "unknown token: the session is over; join again"
NOT_THE_MODELS = r"refused \(layout\): names, shapes or dtypes differ from the global model's"
TERABYTE = 10**12


def fetching(**fields) -> bytes:
    return encode_fetch(FetchRequest(**({"token": b"", "version": 0} | fields)))


def like(*specs: tuple[str, str, tuple[int, ...]]) -> Layout:
    return Layout.from_specs(specs)


def values_of(number: float) -> memoryview:
    return LAYOUT.pack({name: np.full_like(array, number) for name, array in MODEL.items()}).data


# --------------------------------------------------------------------------------------------------- without having been let in

STRANGERS = [
    ("a fetch that is never asked for", FETCH, [], "said nothing on .*Fetch within 0.3 s"),
    ("a push that is never opened", PUSH, [], "said nothing on .*Push within 0.3 s"),
    ("a fetch without a token", FETCH, [fetching()], UNKNOWN),
    ("a fetch with another's token", FETCH, [fetching(token=b"x" * 16)], UNKNOWN),
    ("a fetch with a token of 65 bytes", FETCH, [pb.FetchRequest(token=b"x" * 65).SerializeToString()], "token has length 65"),
    ("a fetch of no protobuf", FETCH, [b"\xff"], "is not a FetchRequest"),
    ("a fetch of 1 MB", FETCH, [pb.FetchRequest(layout_digest=b"x" * 1_000_000).SerializeToString()], "layout_digest has length"),
    ("a push of no protobuf", PUSH, [b"\xff\xff\xff"], "is not a PushFrame"),
    ("a push that begins with its chunk", PUSH, [CHUNK], "a push must begin with its opening"),
    (
        "a push without a token",
        PUSH,
        [pb.PushFrame(opening=pb.PushOpening(task="t", report=b"\x80")).SerializeToString()],
        UNKNOWN,
    ),
    (
        "a push of 100,001 tensors",
        PUSH,
        [pb.PushFrame(opening=pb.PushOpening(blob=pb.BlobHeader(tensors=[pb.TensorSpec()] * 100_001))).SerializeToString()],
        "more than 100,000 tensors are announced",
    ),
    (
        "a push of a tensor of 65 dimensions",
        PUSH,
        [pb.PushFrame(opening=pb.PushOpening(blob=pb.BlobHeader(tensors=[pb.TensorSpec(shape=[1] * 65)]))).SerializeToString()],
        "a tensor with more than 64 dimensions",
    ),
]


# ------------------------------------------------------------------------------------------------------- of a learner that is in


def reporting(name: str, value: object) -> bytes:
    """A report with one value of it that is not the type's, or not the value's."""
    return msgpack.packb({"num_examples": 1, name: value})


def written(mallory: Mallory, task: str, report: bytes) -> bytes:
    blob = pb.BlobHeader(layout_digest=LAYOUT.digest, total_bytes=LAYOUT.nbytes)
    opening = pb.PushOpening(token=mallory.token, task=task, blob=blob, report=report)
    return pb.PushFrame(opening=opening).SerializeToString()


REPORTS = [
    ("examples below zero", reporting("num_examples", -1), r"refused \(bad_report\): num_examples is -1; it must be a finite"),
    ("examples of an infinity", reporting("num_examples", 2**64 - 1), r"\(bad_report\): num_examples is 1\.84467e\+19; at most"),
    ("examples that are none", reporting("num_examples", "ten"), "num_examples is 'ten', not an integer"),
    ("half an example", reporting("num_examples", 0.5), "num_examples is 0.5, not an integer"),
    ("true examples", reporting("num_examples", True), "num_examples is True, not an integer"),
    ("epochs of NaN", reporting("epochs", float("nan")), r"refused \(bad_report\): epochs is nan; it must be a finite number"),
    ("epochs without end", reporting("epochs", float("inf")), r"refused \(bad_report\): epochs is inf"),
    ("time that runs backwards", reporting("ms_per_batch", -1.0), r"refused \(bad_report\): ms_per_batch is -1\.0"),
    ("a metric that is no number", reporting("metrics", {"loss": "low"}), "metric 'loss' is 'low', not a number"),
    ("metrics that are no map", reporting("metrics", [1]), r"metrics is \[1\], not a map"),
    ("10,000 metrics", reporting("metrics", {f"m{n}": n for n in range(5_000)}), r"\(bad_report\): 5000 metrics; at most 256"),
    ("a metric's name of 60 kB", reporting("metrics", {"m" * 60_000: 1.0}), "is longer than 128 characters, or not printable"),
    ("a metric's name with an escape", reporting("metrics", {"\x1b[2J": 1.0}), "is longer than 128 characters, or not printable"),
    (
        "a metric's name of 1 MB",
        reporting("metrics", {"m" * 1_000_000: 1.0}),
        "the training's report has 1,000,0.. bytes; at most",
    ),
    ("a report in a report in a report", b"\x81\xa1x" * 20_000, "the training's report is not valid msgpack"),
    ("a list of four billion", b"\xdd\xff\xff\xff\xff", "the training's report is not valid msgpack"),
    ("a report of another type", msgpack.packb(msgpack.ExtType(5, b"x")), "the training's report is not valid msgpack"),
    ("a report of a time", msgpack.packb({"epochs": msgpack.Timestamp(1)}), "the training's report is not valid msgpack"),
]

LAYOUTS = [
    ("another name", like(("A", "float32", (8, 4)), ("b", "float32", (3,))), NOT_THE_MODELS),
    ("another shape", like(("a", "float32", (4, 8)), ("b", "float32", (3,))), NOT_THE_MODELS),
    ("another dtype", like(("a", "int32", (8, 4)), ("b", "float32", (3,))), NOT_THE_MODELS),
    ("another order", like(("b", "float32", (3,)), ("a", "float32", (8, 4))), NOT_THE_MODELS),
    ("a tensor too many", like(("a", "float32", (8, 4)), ("b", "float32", (3,)), ("c", "float32", (1,))), NOT_THE_MODELS),
    ("a tensor too few", like(("a", "float32", (8, 4))), NOT_THE_MODELS),
    ("nothing in them", like(("a", "float32", (0,))), NOT_THE_MODELS),
    ("a terabyte", like(("a", "uint8", (TERABYTE,))), NOT_THE_MODELS),
    ("more bytes than there are atoms", like(("a", "float64", (2**63, 2**63, 2**63))), NOT_THE_MODELS),
]

CHUNKS = [
    ("nothing behind its opening", [], True, "the peer has finished|granted from 0 | .*closed"),
    ("half of its bytes, and the end", [encode_chunk(0, VALUES[:FIRST])], True, "the peer has finished"),
    ("the second half first", [encode_chunk(FIRST, VALUES[FIRST:])], False, "a chunk for byte 96 came where byte 0 was due"),
    ("the first half twice", [encode_chunk(0, VALUES[:FIRST])] * 2, False, "a chunk for byte 0 came where byte 96 was due"),
    (
        "bytes that overlap",
        [encode_chunk(0, VALUES[:FIRST]), encode_chunk(FIRST - 1, VALUES[FIRST:])],
        False,
        "came where byte 96",
    ),
    ("a byte too many", [encode_chunk(0, memoryview(bytes(VALUES) + b"x"))], False, "a chunk of 193 bytes at byte 0 of 192"),
    ("a chunk of nothing", [encode_chunk(0, VALUES[:0])], False, "a chunk of 0 bytes at byte 0 of 192"),
    ("a chunk far away", [write_chunk(2**63, 0, VALUES)], False, "its checksum is wrong"),
    ("a chunk before the beginning", [write_chunk(2**64 - 1, 0, VALUES[:0])], False, "checksum is wrong|came where byte 0"),
    ("a checksum that is wrong", [write_chunk(0, 7, VALUES)], False, "the chunk at byte 0 was changed on its way"),
    ("no protobuf", [b"\xff\xff"], False, "is not a chunk"),
    (
        "an opening among its chunks",
        [pb.PushFrame(opening=pb.PushOpening(task="t")).SerializeToString()],
        False,
        "is not a chunk",
    ),
]


async def eager(scene: Scene, values: memoryview, **fields) -> str:
    """A push that answers a task, its weights along with its opening."""
    async with scene.taking_part() as mallory:
        opening = replace(mallory.opening((await mallory.task()).id, **fields), chunk=encode_chunk(0, values))
        return await scene.says(PUSH, encode_opening(opening), finish=True)


async def nan(scene: Scene) -> str:
    return await eager(scene, values_of(np.nan))


async def infinite(scene: Scene) -> str:
    return await eager(scene, values_of(-np.inf))


async def wrong_size(scene: Scene) -> str:
    return await eager(scene, VALUES, total_bytes=TERABYTE)


async def wrong_checksum(scene: Scene) -> str:
    async with scene.taking_part() as mallory:
        opening = replace(mallory.opening((await mallory.task()).id), chunk=write_chunk(0, 7, VALUES))
        return await scene.says(PUSH, encode_opening(opening))


async def strange_task(scene: Scene) -> str:
    async with scene.taking_part() as mallory:
        return await scene.says(PUSH, encode_opening(mallory.opening("another's")), finish=True)


async def others_task(scene: Scene) -> str:
    async with scene.taking_part("victim") as victim, scene.taking_part() as mallory:
        return await scene.says(PUSH, encode_opening(mallory.opening((await victim.task()).id)), finish=True)


async def others_token(scene: Scene) -> str:
    """A token of somebody who has left."""
    async with scene.taking_part("victim") as victim:
        task = await victim.task()
    return await scene.says(PUSH, encode_opening(victim.opening(task.id)))


async def evaluate_task(scene: Scene) -> str:
    async with scene.taking_part() as mallory:
        return await scene.says(PUSH, encode_opening(mallory.opening((await mallory.task(TaskKind.EVALUATE)).id)), finish=True)


async def replay(scene: Scene) -> str:
    async with scene.taking_part() as mallory:
        opening = encode_opening(replace(mallory.opening((await mallory.task()).id), chunk=CHUNK))
        return " | ".join([await scene.says(PUSH, opening, finish=True) for _ in range(3)])


async def answered_twice(scene: Scene) -> str:
    """An evaluation for the task whose weights are on their way."""
    async with scene.taking_part() as mallory, waiting(scene, mallory) as (task, stream):
        await mallory.session.send(Evaluated(task, EvaluationReport(1)))
        return in_words(PUSH, await stream.receive())


async def two_streams(scene: Scene) -> str:
    """One waits with its chunks while the other lies about the same task."""
    async with scene.taking_part() as mallory, waiting(scene, mallory) as (task, stream):
        said = await scene.says(PUSH, encode_opening(mallory.opening(task, report=TrainReport(-1))), finish=True)
        return f"{said} | {in_words(PUSH, await stream.receive())}"


@asynccontextmanager
async def waiting(scene: Scene, mallory: Mallory) -> AsyncIterator[tuple[str, Stream]]:
    """A task, and a push of its weights that was granted."""
    task, stream = await mallory.task(), await scene.memory.open(PUSH, timeout_s=5)
    await stream.send(encode_opening(mallory.opening(task.id)))
    await stream.receive()
    try:
        yield task.id, stream
    finally:
        stream.cut("seen")


async def another_version(scene: Scene) -> str:
    async with scene.taking_part() as mallory:
        return await scene.says(FETCH, fetching(token=mallory.token, version=2**63), finish=True)


async def fetched_from(scene: Scene, offset: int) -> str:
    async with scene.taking_part() as mallory:
        version = await scene.version()
        return await scene.says(FETCH, fetching(token=mallory.token, version=version, offset=offset))


async def far_offset(scene: Scene) -> str:
    return await fetched_from(scene, 2**63)


async def crooked_offset(scene: Scene) -> str:
    return await fetched_from(scene, 7)


TRANSFERS = [
    ("weights of NaN", nan, r"refused \(not_finite\): tensor 'a' holds NaN or an infinity"),
    ("weights of an infinity", infinite, r"refused \(not_finite\): tensor 'a' holds NaN"),
    ("a terabyte is announced", wrong_size, NOT_THE_MODELS),
    ("a checksum is wrong", wrong_checksum, "the chunk at byte 0 was changed on its way"),
    ("a task that never was", strange_task, r"refused \(unknown_task\): mallory-.* has no open task"),
    ("another learner's task", others_task, r"refused \(unknown_task\): mallory-.* has no open task"),
    ("a token of a learner that has left", others_token, "the session is over"),
    ("weights for an evaluation", evaluate_task, r"refused \(unknown_task\): mallory-.* has no open task .* that weights answer"),
    ("one update three times", replay, r"accepted \| .*accepted \| .*accepted"),
    ("a task is answered in two ways", answered_twice, r"refused \(unknown_task\)"),
    ("a task is answered by two streams", two_streams, r"refused \(bad_report\): num_examples is -1.* \| refused \(bad_report\)"),
    ("a version that will never be", another_version, "no model of version 9223372036854775808"),
    ("a byte behind the end", far_offset, "was asked for; chunks begin at multiples of 1,048,576"),
    ("a byte amid a chunk", crooked_offset, "byte 7 was asked for; chunks begin at multiples of 1,048,576"),
]
