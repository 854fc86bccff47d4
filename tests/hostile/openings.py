"""Hostile first words of a session: (name, frames, what is answered)."""

from __future__ import annotations

from fedactors.protocol import Cancel, Evaluated, Goodbye, GoodbyeReason, Heartbeat, TaskFailure
from fedactors.protocol._pb import federation_pb2 as pb
from fedactors.protocol.session_wire import encode
from fedactors.task import EvaluationReport
from tests.hostile.scene import hello


def raw(**fields) -> bytes:
    """A Hello that our own side would not write."""
    return pb.LearnerMessage(hello=pb.Hello(**({"learner": "mallory", "wire_version": 1} | fields))).SerializeToString()


LOOKS_ALIKE = "written so that it looks like another one"
OPENINGS = [
    ("says nothing", [], r"said nothing on /fedactors\.v1\.Federation/Session within 0\.3 s|no hello from .* within 0\.3 s"),
    ("nothing in a frame", [b""], "a LearnerMessage without content"),
    ("no protobuf", [b"GET / HTTP/1.1\r\n\r\n"], "is not a LearnerMessage"),
    ("a kind that nobody knows", [b"\xfa\x07\x01A"], "of a kind that this version does not know"),
    ("a heartbeat first", [encode(Heartbeat())], "Heartbeat from the learner in a session that is opened; allowed is Hello"),
    ("a goodbye first", [encode(Goodbye(GoodbyeReason.LEFT))], "Goodbye from the learner in a session that is opened"),
    ("an answer first", [encode(Evaluated("t", EvaluationReport(1)))], "Evaluated from the learner in a session that is opened"),
    ("a failure first", [encode(TaskFailure("t", "x"))], "TaskFailure from the learner in a session that is opened"),
    ("a controller's words", [encode(Cancel("t"))], "TaskFailure from the learner in a session that is opened"),
    (
        "a controller's welcome",
        [pb.ControllerMessage(welcome=pb.Welcome(token=b"x" * 16)).SerializeToString()],
        "learner ''|not a",
    ),
    ("an id that is empty", [raw(learner="")], "learner '' is empty or longer than 512 characters"),
    ("an id of a novel", [raw(learner="m" * 60_000)], "is empty or longer than 512 characters"),
    ("an id of 129 letters", [raw(learner="m" * 129)], "is longer than 128 characters"),
    ("an id that is no text", [b"\x0a\x04\x1a\x02\xff\xfe"], "is not a LearnerMessage"),
    ("an id with an escape", [raw(learner="m\x1b[2J")], "is not printable; name it with letters and digits"),
    ("an id of two lines", [raw(learner="m\nlevel=error")], "is not printable"),
    ("an id with a null", [raw(learner="m\x00")], "is not printable"),
    ("an id of a rule's store", [raw(learner="\x1fhonest")], "is not printable"),
    ("an id that is turned round", [raw(learner="m\N{RIGHT-TO-LEFT OVERRIDE}x")], "is not printable"),
    ("an id with nothing in it", [raw(learner="hon\N{ZERO WIDTH SPACE}est")], "is not printable"),
    ("an id with a space behind it", [raw(learner="honest ")], LOOKS_ALIKE),
    ("an id in full width", [raw(learner="\N{FULLWIDTH LATIN SMALL LETTER H}onest")], LOOKS_ALIKE),
    ("an id in two pieces", [raw(learner="o\N{COMBINING DIAERESIS}")], LOOKS_ALIKE),
    ("100,000 tags", [raw(tags=["t"] * 100_000)], "a control message of 3..,... bytes; at most 65,536 are taken"),
    ("257 tags", [raw(tags=["t"] * 257)], "tags has length 257; at most 256 is allowed"),
    ("a tag of 60 kB", [raw(tags=["t" * 60_000])], "a tag has length 60,000; at most 512 is allowed"),
    ("a tag with an escape", [raw(tags=["\x1b]0;x\x07"])], "is not printable"),
    ("100,000 tasks held", [raw(tasks_held=["t"] * 100_000)], "a control message of 3..,... bytes"),
    ("1,025 tasks held", [raw(tasks_held=["t"] * 1025)], "tasks_held has length 1,025"),
    ("a task of 60 kB held", [raw(tasks_held=["t" * 60_000])], "a task held has length 60,000"),
    ("more examples than there are", [raw(num_train_examples=2**64 - 1)], r"num_train_examples is 1\.84467e\+19; at most 1e\+12"),
    ("more tests than there are", [raw(num_test_examples=2**63)], "num_test_examples is 9.*; at most 1e"),
    (
        "another wire",
        [raw(wire_version=999)],
        "this controller speaks wire version 1, the learner 999: install matching releases",
    ),
    ("no wire", [raw(wire_version=0)], "the learner 0: install matching releases"),
    ("another federation", [raw(federation="banks")], "no federation named 'banks' is served here; this one is 'hostile'"),
    ("a federation of 60 kB", [raw(federation="x" * 60_000)], "federation has length 60,000"),
    ("a token of 65 bytes", [raw(resume_token=b"x" * 65)], "token has length 65; at most 64"),
    ("software of 1 MB", [raw(software="x" * 1_000_000)], "a control message of 1,000,0.. bytes; at most 65,536"),
    ("forms without end", [raw(forms=["bf16"] * 5_000)], "forms has length 5,000"),
    ("hello, and hello again", [hello(), hello()], r"Welcome .*Hello from the learner in a session that is active"),
    ("hello, and no protobuf", [hello(), b"\xff\xff"], r"Welcome .*is not a LearnerMessage"),
    ("hello, and a frame of 1 MB", [hello(), b"x" * 1_000_000], r"Welcome .*a control message of 1,000,000 bytes"),
]
