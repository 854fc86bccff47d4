"""What is said on a session, as frames and back: Hello and Welcome, tasks and their answers, signs of life, goodbyes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, assert_never

from google.protobuf.message import Message as Proto

from fedactors.dp.local import LocalPrivacy
from fedactors.errors import LocalProtocolError, RemoteProtocolError
from fedactors.form import AS_IT_IS, FORM_NAME_CHARS_MAX, FORMS_MAX, FormSpec
from fedactors.model import NAME_CHARS_MAX
from fedactors.privacy.sealing import UNSEALED, SealingSpec
from fedactors.protocol import bodies
from fedactors.protocol._pb import federation_pb2 as pb
from fedactors.protocol.messages import (
    Cancel,
    Evaluated,
    FromController,
    FromLearner,
    Goodbye,
    GoodbyeReason,
    Heartbeat,
    Hello,
    Masking,
    Message,
    Task,
    TaskFailure,
    Welcome,
)
from fedactors.protocol.wire import WHY_CHARS_MAX, checked_token, content, parsed, refuse_long, written
from fedactors.scope import PATTERN_CHARS_MAX, PATTERNS_MAX
from fedactors.task import METRICS_MAX, EvaluateParams, TaskKind, TrainParams
from fedactors.transport import Frame

CONTROL_BYTES_MAX = 64 * 1024
"""A longer frame on a session is refused by both sides."""
TASKS_HELD_MAX = 1024
FORM_OPTIONS_BYTES_MAX = 1024
SEALING_OPTIONS_BYTES_MAX = 1024

_REASONS: dict[GoodbyeReason, Any] = {reason: pb.Goodbye.Reason.Value(reason.name) for reason in GoodbyeReason}
_REASON_OF = {number: reason for reason, number in _REASONS.items()}


def encode(message: Message) -> bytes:
    """A control message as a frame.

    Raises:
        LocalProtocolError: it is too long, or a value in it cannot travel.
    """
    frame = written(type(message).__name__, partial(_envelope, message))
    if len(frame) > CONTROL_BYTES_MAX:
        name = type(message).__name__
        raise LocalProtocolError(f"{name} takes {len(frame):,} bytes; a control message may take {CONTROL_BYTES_MAX:,}")
    return frame


def _envelope(message: Message) -> Proto:
    match message:
        case Heartbeat():  # heartbeat and goodbye have the same numbers both ways
            return pb.LearnerMessage(heartbeat=pb.Heartbeat())
        case Goodbye(reason, why):
            return pb.LearnerMessage(goodbye=pb.Goodbye(reason=_REASONS[reason], why=why[:WHY_CHARS_MAX]))
        case Hello():
            return pb.LearnerMessage(hello=pb.Hello(**{name: getattr(message, name) for name in Hello.__slots__}))
        case Evaluated(task, report):
            body = bodies.pack("the evaluation's report", bodies.evaluation_report_body(report))
            return pb.LearnerMessage(evaluated=pb.Evaluated(task=task, body=body))
        case TaskFailure(task, why):
            return pb.LearnerMessage(task_failure=pb.TaskFailure(task=task, why=why[:WHY_CHARS_MAX]))
        case Masking(task, stage, masking):  # as have these
            packed = bodies.pack("what is said of masks", masking)
            return pb.LearnerMessage(masking=pb.Masking(task=task, stage=stage, body=packed))
        case Welcome():
            return pb.ControllerMessage(welcome=_welcome_written(message))
        case Task():
            return pb.ControllerMessage(task=_task_written(message))
        case Cancel(task):
            return pb.ControllerMessage(cancel=pb.Cancel(task=task))
        case _:
            assert_never(message)


def decode_from_learner(frame: Frame) -> FromLearner:
    """A learner's message.

    Raises:
        RemoteProtocolError: the frame is none; the error says what is wrong with it.
    """
    return content(parsed(pb.LearnerMessage, frame), _FROM_LEARNER)


def decode_from_controller(frame: Frame) -> FromController:
    """A controller's message.

    Raises:
        RemoteProtocolError: the frame is none; the error says what is wrong with it.
    """
    return content(parsed(pb.ControllerMessage, frame), _FROM_CONTROLLER)


def _hello(message: pb.Hello) -> Hello:
    refuse_long("tags", message.tags, METRICS_MAX)
    refuse_long("tasks_held", message.tasks_held, TASKS_HELD_MAX)
    refuse_long("federation", message.federation, NAME_CHARS_MAX)
    for tag in message.tags:
        refuse_long("a tag", tag, NAME_CHARS_MAX)
    for task in message.tasks_held:
        refuse_long("a task held", task, NAME_CHARS_MAX)
    refuse_long("forms", message.forms, FORMS_MAX)
    return Hello(
        learner=_name("learner", message.learner),
        federation=message.federation,
        resume_token=checked_token(message.resume_token),
        num_train_examples=message.num_train_examples,
        num_test_examples=message.num_test_examples,
        tags=tuple(message.tags),
        tasks_held=tuple(message.tasks_held),
        software=message.software[:NAME_CHARS_MAX],
        wire_version=message.wire_version,
        forms=tuple(_form_name(name) for name in message.forms),
    )


def _welcome_written(welcome: Welcome) -> pb.Welcome:
    apart: dict[str, Any] = {"form": _form_written(welcome.form), "sealing": _sealing_written(welcome.sealing)}
    apart["local_privacy"] = None if welcome.local_privacy is None else pb.LocalPrivacy(**asdict(welcome.local_privacy))
    return pb.Welcome(**{name: apart[name] if name in apart else getattr(welcome, name) for name in Welcome.__slots__})


def _welcome(message: pb.Welcome) -> Welcome:
    if not (0 < message.heartbeat_s < message.lost_after_s < math.inf):
        times = f"heartbeat_s = {message.heartbeat_s:g}, lost_after_s = {message.lost_after_s:g}"
        raise RemoteProtocolError(f"a welcome with {times}; 0 < heartbeat_s < lost_after_s is needed")
    if message.chunk_bytes == 0:
        raise RemoteProtocolError("a welcome with chunk_bytes = 0")
    return Welcome(
        token=checked_token(message.token),
        heartbeat_s=message.heartbeat_s,
        lost_after_s=message.lost_after_s,
        chunk_bytes=message.chunk_bytes,
        resumed=message.resumed,
        federation=message.federation,
        eager_bytes=min(message.eager_bytes, message.chunk_bytes),
        local=_patterns("local", message.local),
        shared=_patterns("shared", message.shared),
        variates=message.variates,
        form=_form(message.form),
        sealing=_sealing(message.sealing),
        local_privacy=_local_privacy(message.local_privacy) if message.HasField("local_privacy") else None,
    )


def _local_privacy(message: pb.LocalPrivacy) -> LocalPrivacy:
    clip_norm, noise_multiplier, delta = message.clip_norm, message.noise_multiplier, message.delta
    if not (0 < clip_norm < math.inf and 0 < noise_multiplier < math.inf and 0 < delta < 1):
        given = f"clip_norm = {clip_norm:g}, noise_multiplier = {noise_multiplier:g}, delta = {delta:g}"
        raise RemoteProtocolError(f"a welcome with {given}; the first two are above 0 and finite, delta is between 0 and 1")
    return LocalPrivacy(clip_norm, noise_multiplier, delta)


def _form_written(form: FormSpec) -> pb.Form | None:
    options = bodies.pack("the form's options", form.options, FORM_OPTIONS_BYTES_MAX) if form.options else b""
    return pb.Form(name=form.name, options=options) if form.name else None


def _sealing_written(sealing: SealingSpec) -> pb.Sealing | None:
    options = bodies.pack("the sealing's options", dict(sealing.options), SEALING_OPTIONS_BYTES_MAX)
    return pb.Sealing(method=sealing.method, options=options, weighting=sealing.weighting) if sealing.method else None


def _sealing(message: pb.Sealing) -> SealingSpec:
    if not message.method:
        return UNSEALED
    for what in ("method", "weighting"):
        refuse_long(f"a sealing's {what}", getattr(message, what), NAME_CHARS_MAX)
    options = bodies.unpack("the sealing's options", message.options, SEALING_OPTIONS_BYTES_MAX)
    return SealingSpec(message.method, options, message.weighting)


def _form(message: pb.Form) -> FormSpec:
    if not message.name:
        return AS_IT_IS
    options = bodies.unpack("the form's options", message.options, FORM_OPTIONS_BYTES_MAX) if message.options else {}
    return FormSpec(_form_name(message.name), options)


def _form_name(name: str) -> str:
    refuse_long("a form's name", name, FORM_NAME_CHARS_MAX)
    return name


def _task_written(task: Task) -> pb.Task:
    match task.kind, task.params:
        case TaskKind.INITIALISE, None:
            return pb.Task(id=task.id, kind=task.kind)
        case TaskKind.TRAIN, TrainParams() as train:
            body = bodies.pack("the task's parameters", bodies.train_body(train))
        case TaskKind.EVALUATE, EvaluateParams() as evaluate:
            body = bodies.pack("the task's parameters", {"options": evaluate.options})
        case _:
            raise LocalProtocolError(f"a task of kind {task.kind} does not take {type(task.params).__name__}")
    return pb.Task(id=task.id, kind=task.kind, round=task.round, version=task.version, body=body)


def _task(message: pb.Task) -> Task:
    task = _name("task", message.id)
    if message.kind == TaskKind.INITIALISE:
        return Task(task, TaskKind.INITIALISE)
    if message.kind not in (TaskKind.TRAIN, TaskKind.EVALUATE):
        raise RemoteProtocolError(f"task {task!r} is of kind {message.kind!r:.80}, which this version does not know")
    body = bodies.unpack("the task's parameters", message.body)
    if message.kind == TaskKind.TRAIN:
        return Task(task, TaskKind.TRAIN, bodies.train_params(message.round, message.version, body))
    return Task(task, TaskKind.EVALUATE, bodies.evaluate_params(message.round, message.version, body))


def _evaluated(message: pb.Evaluated) -> Evaluated:
    report = bodies.evaluation_report(bodies.unpack("the evaluation's report", message.body))
    return Evaluated(_name("task", message.task), report)


def _task_failure(message: pb.TaskFailure) -> TaskFailure:
    return TaskFailure(_name("task", message.task), message.why[:WHY_CHARS_MAX])


def _cancel(message: pb.Cancel) -> Cancel:
    return Cancel(_name("task", message.task))


def _masking(message: pb.Masking) -> Masking:
    body = bodies.unpack("what is said of masks", message.body)
    return Masking(_name("task", message.task), message.stage[:NAME_CHARS_MAX], body)


def _goodbye(message: pb.Goodbye) -> Goodbye:
    reason = _REASON_OF.get(message.reason)
    if reason is None:
        raise RemoteProtocolError(f"a goodbye with reason {message.reason}, which this version does not know")
    return Goodbye(reason, message.why[:WHY_CHARS_MAX])


def _name(what: str, name: str) -> str:
    if not 0 < len(name) <= NAME_CHARS_MAX:
        raise RemoteProtocolError(f"{what} {name!r:.80} is empty or longer than {NAME_CHARS_MAX} characters")
    return name


def _patterns(what: str, patterns: Sequence[str]) -> tuple[str, ...]:
    refuse_long(what, patterns, PATTERNS_MAX)
    for pattern in patterns:
        refuse_long(f"a pattern of {what}", pattern, PATTERN_CHARS_MAX)
    return tuple(patterns)


_FROM_LEARNER: Mapping[str, Callable[[Any], FromLearner]] = {
    "hello": _hello,
    "heartbeat": lambda _: Heartbeat(),
    "evaluated": _evaluated,
    "task_failure": _task_failure,
    "masking": _masking,
    "goodbye": _goodbye,
}
_FROM_CONTROLLER: Mapping[str, Callable[[Any], FromController]] = {
    "welcome": _welcome,
    "heartbeat": lambda _: Heartbeat(),
    "task": _task,
    "cancel": _cancel,
    "masking": _masking,
    "goodbye": _goodbye,
}
