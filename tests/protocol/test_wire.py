"""Messages as frames and back, and what bad frames do."""

from contextlib import suppress
from dataclasses import replace

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedactors.errors import LocalProtocolError, RemoteProtocolError
from fedactors.form import AS_IT_IS, FORM_NAME_CHARS_MAX, FormSpec
from fedactors.privacy.sealing import UNSEALED, SealingSpec
from fedactors.protocol import (
    Cancel,
    Evaluated,
    FetchRequest,
    Goodbye,
    GoodbyeReason,
    Heartbeat,
    Hello,
    Masking,
    PushAnswer,
    PushGrant,
    PushOpening,
    Task,
    TaskFailure,
    Welcome,
)
from fedactors.protocol._pb import federation_pb2 as pb
from fedactors.protocol.blob_wire import (
    decode_fetch,
    decode_header,
    decode_opening,
    decode_reply,
    encode_fetch,
    encode_header,
    encode_opening,
    encode_reply,
)
from fedactors.protocol.fields import SMALL_BYTES
from fedactors.protocol.messages import BlobHeader
from fedactors.protocol.session_wire import CONTROL_BYTES_MAX, decode_from_controller, decode_from_learner, encode
from fedactors.task import EvaluateParams, EvaluationReport, TaskKind, TrainParams, TrainReport

DECODERS = [decode_from_learner, decode_from_controller, decode_fetch, decode_header, decode_opening, decode_reply]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
names = texts.filter(bool)
counts = st.integers(0, 2**63 - 1)
numbers = st.floats(allow_nan=False)
tokens = st.binary(max_size=64)
metrics = st.dictionaries(texts, numbers, max_size=5)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | numbers | texts | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
options = st.dictionaries(texts, plain, max_size=4)
optional_counts = st.none() | counts

train_params = st.builds(
    TrainParams,
    round=counts,
    version=counts,
    seed=counts,
    epochs=numbers,
    steps=optional_counts,
    batch_size=optional_counts,
    learning_rate=st.none() | numbers,
    proximal_mu=numbers,
    options=options,
)
evaluate_params = st.builds(EvaluateParams, counts, counts, options)
train_reports = st.builds(TrainReport, counts, counts, numbers, numbers, numbers, metrics)
tasks = st.one_of(
    st.builds(Task, names, st.just(TaskKind.INITIALISE)),
    st.builds(Task, names, st.just(TaskKind.TRAIN), train_params),
    st.builds(Task, names, st.just(TaskKind.EVALUATE), evaluate_params),
)
goodbyes = st.builds(Goodbye, st.sampled_from(GoodbyeReason), texts)
maskings = st.builds(Masking, names, names, options)
form_names = names.map(lambda name: name[:FORM_NAME_CHARS_MAX])
hellos = st.builds(
    Hello,
    learner=names,
    federation=texts,
    resume_token=tokens,
    num_train_examples=counts,
    num_test_examples=counts,
    tags=st.lists(texts, max_size=4).map(tuple),
    tasks_held=st.lists(names, max_size=4).map(tuple),
    software=texts,
    wire_version=st.integers(0, 2**32 - 1),
    forms=st.lists(form_names, max_size=4).map(tuple),
)
welcomes = st.builds(
    Welcome,
    token=tokens,
    heartbeat_s=st.floats(0.001, 10),
    lost_after_s=st.floats(10.5, 100),
    chunk_bytes=st.integers(1, 2**32 - 1),
    resumed=st.booleans(),
    federation=texts,
    local=st.lists(names, max_size=4).map(tuple),
    shared=st.lists(names, max_size=4).map(tuple),
    variates=st.booleans(),
    form=st.just(AS_IT_IS)
    | st.builds(FormSpec, form_names, st.dictionaries(names, st.booleans() | counts | numbers, max_size=3)),
    sealing=st.just(UNSEALED)
    | st.builds(SealingSpec, names, st.dictionaries(names, st.booleans() | counts | numbers, max_size=3), names),
)
from_learner = st.one_of(
    hellos,
    st.just(Heartbeat()),
    st.builds(Evaluated, names, st.builds(EvaluationReport, counts, metrics)),
    st.builds(TaskFailure, names, texts),
    maskings,
    goodbyes,
)
from_controller = st.one_of(welcomes, st.just(Heartbeat()), tasks, st.builds(Cancel, names), maskings, goodbyes)

specs = st.lists(st.tuples(texts, texts, st.lists(counts, max_size=4).map(tuple)), min_size=1, max_size=4).map(tuple)
fetch_requests = st.builds(FetchRequest, tokens, counts, tokens, counts)
openings = st.builds(PushOpening, tokens, texts, tokens, st.none() | specs, counts, train_reports)
replies = st.just(PushGrant()) | st.builds(PushAnswer, st.booleans(), texts, texts)


def welcome_with(**given):
    return pb.ControllerMessage(welcome=pb.Welcome(heartbeat_s=1, lost_after_s=2, chunk_bytes=1, **given))


@settings(deadline=None)
@given(from_learner)
def test_what_a_learner_says_arrives_as_it_was_said(message):
    assert decode_from_learner(encode(message)) == message


@settings(deadline=None)
@given(from_controller)
def test_what_a_controller_says_arrives_as_it_was_said(message):
    assert decode_from_controller(encode(message)) == message


@settings(deadline=None)
@given(fetch_requests, openings, replies, st.none() | specs)
def test_what_stands_around_weights_arrives_as_it_was_said(request, opening, reply, specs):
    assert decode_fetch(encode_fetch(request)) == request
    assert decode_opening(encode_opening(opening)) == opening
    assert decode_reply(encode_reply(reply)) == reply
    header = BlobHeader(b"d" * 16, specs, 7, 3)
    assert decode_header(encode_header(header)) == header


def read_somehow(frame):
    """As every kind of message; nothing but a RemoteProtocolError may come of it."""
    for decode in DECODERS:
        with suppress(RemoteProtocolError):
            decode(frame)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_a_message_or_a_remote_protocol_error(frame):
    read_somehow(frame)


@settings(deadline=None)
@given(from_learner.map(encode) | from_controller.map(encode) | openings.map(encode_opening), st.data())
def test_a_damaged_frame_is_a_message_or_a_remote_protocol_error(frame, data):
    damaged = bytearray(frame)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(frame)))
        damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    read_somehow(bytes(damaged))


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_an_arbitrary_body_is_read_or_is_a_remote_protocol_error(body):
    frame = pb.ControllerMessage(task=pb.Task(id="t", kind="train", body=body)).SerializeToString()
    read_somehow(frame)


def test_both_sides_write_heartbeat_and_goodbye_alike():
    for message in (Heartbeat(), Goodbye(GoodbyeReason.FINISHED, "done")):
        assert decode_from_learner(encode(message)) == decode_from_controller(encode(message)) == message


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (msgpack.packb([1]), "not a map"),
        (msgpack.packb({1: 2}), "int is not allowed"),
        (msgpack.packb({b"seed": 2}), "not a map with string keys"),
        (msgpack.packb({"seed": msgpack.ExtType(5, b"x")}), "not valid msgpack"),
        (msgpack.packb({"seed": msgpack.ExtType(5, b"")}), "extension type 5 is not allowed"),
        (msgpack.packb({"seed": msgpack.Timestamp(1)}), "not valid msgpack"),
        (b"\x91" * 5000, "not valid msgpack"),
        (b"\xdd\xff\xff\xff\xff", "not valid msgpack"),
        (b"", "not valid msgpack"),
        (msgpack.packb({"x": "y" * CONTROL_BYTES_MAX}), "at most 65,536 are allowed"),
        (msgpack.packb({"seed": "7"}), "seed is '7', not an integer"),
        (msgpack.packb({"seed": True}), "seed is True, not an integer"),
        (msgpack.packb({"epochs": None}), "epochs is None, not a number"),
        (msgpack.packb({"options": [1]}), "options is"),
    ],
)
def test_a_malformed_body_is_refused_with_what_is_wrong(body, complaint):
    frame = pb.ControllerMessage(task=pb.Task(id="t", kind="train", body=body)).SerializeToString()
    with pytest.raises(RemoteProtocolError, match=complaint):
        decode_from_controller(frame)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (pb.ControllerMessage(), "a ControllerMessage without content"),
        (pb.ControllerMessage(task=pb.Task(id="", kind="train")), "task '' is empty"),
        (pb.ControllerMessage(task=pb.Task(id="t", kind="dance")), "kind 'dance', which this version does not know"),
        (pb.ControllerMessage(goodbye=pb.Goodbye()), "reason 0, which this version does not know"),
        (pb.ControllerMessage(cancel=pb.Cancel(task="t" * 1000)), "longer than 512"),
        (
            pb.ControllerMessage(welcome=pb.Welcome(heartbeat_s=2, lost_after_s=1, chunk_bytes=1)),
            "0 < heartbeat_s < lost_after_s",
        ),
        (pb.ControllerMessage(welcome=pb.Welcome(heartbeat_s=1, lost_after_s=float("nan"), chunk_bytes=1)), "lost_after_s = nan"),
        (pb.ControllerMessage(welcome=pb.Welcome(heartbeat_s=1, lost_after_s=2)), "chunk_bytes = 0"),
        (
            pb.ControllerMessage(welcome=pb.Welcome(token=b"x" * 65, heartbeat_s=1, lost_after_s=2, chunk_bytes=1)),
            "token has length 65",
        ),
        (welcome_with(local=["x"] * 65), "local has length 65; at most 64"),
        (welcome_with(shared=["x" * 121]), "a pattern of shared has length 121; at most 120"),
        (welcome_with(form=pb.Form(name="x" * 65)), "a form's name has length 65; at most 64"),
        (welcome_with(form=pb.Form(name="x", options=bytes(1025))), "the form's options has 1,025 bytes; at most 1,024"),
        (welcome_with(form=pb.Form(name="x", options=b"\x91")), "the form's options is not valid msgpack"),
        (welcome_with(sealing=pb.Sealing(method="x" * 513)), "a sealing's method has length 513; at most 512"),
        (welcome_with(sealing=pb.Sealing(method="x", options=bytes(1025))), "the sealing's options has 1,025 bytes"),
        (welcome_with(sealing=pb.Sealing(method="x")), "the sealing's options is not valid msgpack"),
    ],
)
def test_a_malformed_message_is_refused_with_what_is_wrong(message, complaint):
    with pytest.raises(RemoteProtocolError, match=complaint):
        decode_from_controller(message.SerializeToString())


@pytest.mark.parametrize(
    ("hello", "complaint"),
    [
        (pb.Hello(), "learner '' is empty"),
        (pb.Hello(learner="a", tags=["x"] * 257), "tags has length 257"),
        (pb.Hello(learner="a", tasks_held=["x"] * 1025), "tasks_held has length 1,025"),
        (pb.Hello(learner="a", forms=["x"] * 65), "forms has length 65"),
        (pb.Hello(learner="a", forms=["x" * 65]), "a form's name has length 65"),
    ],
)
def test_a_hello_has_limits(hello, complaint):
    with pytest.raises(RemoteProtocolError, match=complaint):
        decode_from_learner(pb.LearnerMessage(hello=hello).SerializeToString())


def test_a_welcome_with_the_most_and_longest_patterns_fits_into_a_control_message():
    patterns = tuple("\N{GRINNING FACE}" * 120 for _ in range(64))
    form = FormSpec("x" * FORM_NAME_CHARS_MAX, {"x": "y" * 1000})
    message = Welcome(b"x" * 16, 1.0, 5.0, 1, federation="f" * 64, local=patterns, shared=patterns, form=form)
    message = replace(message, sealing=SealingSpec("x" * 64, {"x": "y" * 1000}, "metric:" + "x" * 80))
    assert decode_from_controller(encode(message)) == message


def test_a_metric_that_is_no_number_is_named():
    body = msgpack.packb({"num_examples": 1, "metrics": {"accuracy": "high"}})
    frame = pb.LearnerMessage(evaluated=pb.Evaluated(task="t", body=body)).SerializeToString()
    with pytest.raises(RemoteProtocolError, match="metric 'accuracy' is 'high', not a number"):
        decode_from_learner(frame)


def test_keys_and_fields_of_a_newer_peer_are_skipped():
    body = msgpack.packb({"seed": 3, "invented_later": [1]})
    message = pb.ControllerMessage(task=pb.Task(id="t", kind="train", round=2, version=1, body=body))
    frame = message.SerializeToString() + bytes([0xFA, 0x07, 1, 65])  # field 127, a string
    assert decode_from_controller(frame) == Task("t", TaskKind.TRAIN, TrainParams(2, 1, 3))


def test_nan_is_a_metric():
    frame = encode(Evaluated("t", EvaluationReport(1, {"loss": float("nan")})))
    assert str(decode_from_learner(frame).report.metrics["loss"]) == "nan"


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (Task("t", TaskKind.TRAIN, TrainParams(1, 0, 7, options={"x": "y" * CONTROL_BYTES_MAX})), "the task's parameters takes"),
        (Task("t", TaskKind.TRAIN, TrainParams(1, 0, 7, options={"x": object()})), "plain maps, lists, strings and numbers"),
        (Task("t", TaskKind.TRAIN, TrainParams(1, 0, 2**70)), "cannot be written"),
        (Task("t", TaskKind.TRAIN, TrainParams(-1, 0, 7)), "Task cannot be written"),
        (Task("t", TaskKind.TRAIN, EvaluateParams(1, 0)), "a task of kind train does not take EvaluateParams"),
        (Task("t", TaskKind.INITIALISE, EvaluateParams(1, 0)), "a task of kind initialise does not take EvaluateParams"),
        (TaskFailure("t" * CONTROL_BYTES_MAX, ""), "TaskFailure takes"),
        (Hello("a", num_train_examples=-1), "Hello cannot be written"),
        (Hello("\ud800"), "Hello cannot be written"),
    ],
)
def test_what_cannot_travel_is_our_own_mistake(message, complaint):
    with pytest.raises(LocalProtocolError, match=complaint):
        encode(message)


def test_a_long_reason_is_cut_short_rather_than_refused():
    assert len(decode_from_learner(encode(TaskFailure("t", "x" * 100_000))).why) == 4096


def test_a_push_begins_with_its_opening_and_a_blob_with_its_header():
    opening = encode_opening(PushOpening(b"", "t", b"", None, 0, TrainReport(1)))
    header = encode_header(BlobHeader(b"", None, 0))
    with pytest.raises(RemoteProtocolError, match="must begin with its header"):
        decode_header(b"")
    with pytest.raises(RemoteProtocolError, match="must begin with its opening"):
        decode_opening(b"")
    assert decode_header(header) == BlobHeader(b"", None, 0)
    assert decode_opening(opening).task == "t"


def test_a_task_says_its_round_and_version():
    assert (Task("t", TaskKind.TRAIN, TrainParams(4, 3, 7)).round, Task("t", TaskKind.TRAIN, TrainParams(4, 3, 7)).version) == (
        4,
        3,
    )
    assert (Task("t", TaskKind.INITIALISE).round, Task("t", TaskKind.INITIALISE).version) == (0, 0)


def test_a_welcome_is_written_with_every_field():
    terms = Welcome(b"t", 1.5, 7.0, 4096, resumed=True, federation="f")
    assert decode_from_controller(encode(terms)) == terms


def large(tensors):
    """What goes on for as long as a frame may, so that each tensor takes two bytes."""
    return pb.BlobHeader(layout_digest=b"d" * 16).SerializeToString() + b"\x12\x00" * tensors


@pytest.mark.parametrize(
    ("decode", "wrap"),
    [
        (decode_header, lambda blob: _field(1, blob)),
        (decode_opening, lambda blob: _field(1, _field(3, blob))),
        (decode_opening, lambda blob: _field(1, _field(3, blob[: len(blob) // 2 * 2]) + _field(3, blob))),
    ],
)
def test_tensors_without_number_are_counted_before_any_memory_is_taken_for_them(decode, wrap):
    with pytest.raises(RemoteProtocolError, match="more than 100,000 tensors are announced"):
        decode(wrap(large(200_000)))


@pytest.mark.parametrize("end", [b"\x0b", b"\x12\xff\xff\xff\xff", b"\x80"])
def test_a_large_frame_that_is_no_message_is_refused(end):
    with pytest.raises(RemoteProtocolError, match=r"is no message|is not a BlobFrame"):
        decode_header(_field(2, b"x" * 70_000) + end)


def test_a_large_header_is_read():
    specs = tuple((f"layer-{number}", "float32", (3, 4)) for number in range(5_000))
    header = BlobHeader(b"d" * 16, specs, 7, 3)
    assert len(encode_header(header)) > SMALL_BYTES
    assert decode_header(encode_header(header)) == header


def _field(number, body):
    length = len(body)
    varint = bytes((length >> shift) & 0x7F | 0x80 for shift in (0, 7, 14)) + bytes([length >> 21])
    return bytes([number << 3 | 2]) + varint + body
