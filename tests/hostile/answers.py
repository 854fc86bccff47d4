"""Hostile answers on a session: (name, the frames for a training task and an evaluation, how the session ends or goes on)."""

from __future__ import annotations

from collections.abc import Callable

import msgpack

from fedactors.protocol import Cancel, Goodbye, GoodbyeReason, Heartbeat, Hello
from fedactors.protocol._pb import federation_pb2 as pb
from fedactors.protocol.session_wire import encode


def evaluated(task: str, body: bytes) -> bytes:
    return pb.LearnerMessage(evaluated=pb.Evaluated(task=task, body=body)).SerializeToString()


def failure(task: str, why: str = "no data here") -> bytes:
    return pb.LearnerMessage(task_failure=pb.TaskFailure(task=task, why=why)).SerializeToString()


def reporting(**body) -> bytes:
    return msgpack.packb({"num_examples": 1, "metrics": {}} | body)


ENDS: list[tuple[str, Callable[[str], list[bytes]], str]] = [
    ("an evaluation of no msgpack", lambda task: [evaluated(task, b"\xc1")], "the evaluation's report is not valid msgpack"),
    ("maps in maps in maps", lambda task: [evaluated(task, b"\x81\xa1x" * 15_000)], "report is not valid msgpack"),
    ("an array of four billion", lambda task: [evaluated(task, b"\xdd\xff\xff\xff\xff")], "is not valid msgpack"),
    ("a metric that is a map", lambda task: [evaluated(task, reporting(metrics={"a": {}}))], "metric 'a' is {}, not a number"),
    ("10,000 metrics", lambda t: [evaluated(t, reporting(metrics={f"{n}": 0.5 for n in range(10_000)}))], "a control message of"),
    ("a metric's name of 1 MB", lambda t: [evaluated(t, reporting(metrics={"m" * 10**6: 0.5}))], "a control message of 1,000,0"),
    (
        "a failure of 5 MB",
        lambda t: [failure(t, "x" * 5 * 10**6)],
        "a control message of 5,000,0.. bytes; at most 65,536 are taken",
    ),
    ("a task's name of 60 kB", lambda _: [failure("t" * 60_000)], "is empty or longer than 512 characters"),
    ("another hello", lambda _: [encode(Hello("mallory"))], "Hello from the learner in a session that is active"),
    ("a flood of heartbeats", lambda _: [encode(Heartbeat())] * 150, "117 heartbeats within 2 s; one is due every 0.5 s"),
    ("a flood of goodbyes", lambda _: [encode(Goodbye(GoodbyeReason.LEFT))] * 50, "the peer has finished|ended"),
    ("a goodbye for no reason", lambda _: [b"\x2a\x02\x08\x63"], "a goodbye with reason 99"),
]

GOES_ON: list[tuple[str, Callable[[str], list[bytes]], str]] = [
    ("an evaluation for weights", lambda task: [evaluated(task, reporting())], "an evaluation answers a task to train"),
    ("answers to tasks that never were", lambda task: [*(evaluated(f"t{n}", reporting()) for n in range(40)), failure(task)], ""),
    ("a controller's words", lambda task: [encode(Cancel("t")), failure(task)], ""),
    (
        "a failure of a screenful",
        lambda task: [failure(task, "no\nlevel=error \x1b[2J")],
        r"no level=error .\[2J",
    ),
]

UNCOUNTED: list[tuple[str, bytes, str]] = [
    ("examples below zero", reporting(num_examples=-1), "num_examples is -1; it must be a finite number >= 0"),
    ("more examples than there are", reporting(num_examples=2**63), r"num_examples is 9\.22337e\+18; at most 1e\+12 is taken"),
    ("257 metrics", reporting(metrics={f"m{n}": 0.5 for n in range(257)}), "257 metrics; at most 256 are taken"),
    ("a metric named by a novel", reporting(metrics={"m" * 1000: 0.5}), "is longer than 128 characters, or not printable"),
]
