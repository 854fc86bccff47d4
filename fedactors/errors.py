"""Every error that fedactors raises on purpose.

FedactorsError
├── ConfigError                  the configuration, an option or a name is wrong
│   └── ExtraMissing             the configuration asks for an optional package that is not installed
├── ModelError                   weights, a layout or a model file is wrong
│   └── LayoutMismatch           names, shapes or dtypes differ from the global model's
├── UpdateRefused                an update (or a task's answer) was not accepted; the reason is a `Refusal`
├── LearnerFailed                a learner's own code raised, or returned something that is not a result
│   └── PrivacyBudgetSpent       another update would tell more of the learner's data than it allows
├── StoreError                   a model store could not read or write
│   └── NoSuchModel              the version or the learner has no model there (it may have been evicted)
├── FederationFailed             the run cannot go on: too few learners, an actor failed too often, no progress
├── ProtocolError                a message broke the wire's rules
│   ├── LocalProtocolError       we broke them: a bug of fedactors or of its caller
│   └── RemoteProtocolError      the peer broke them
├── TransportError               bytes could not be moved
│   ├── AddressError             the address is malformed, in use, or may not be used
│   ├── StreamClosed             the stream is over: the peer is gone, or this side closed it
│   │   ├── EndOfStream          the peer finished its side in good order
│   │   └── AccessDenied         a credential is missing, wrong or not enough: trying again changes nothing
│   └── Unreachable              nobody answers at the address
└── ActorError                   the actor runtime
    ├── ActorStopped             the actor has stopped, or stopped before it answered
    ├── MailboxFull              tell() to a bounded mailbox that has no room
    ├── Unhandled                the actor has no handler for that message
    ├── AskCycle                 actors wait for each other's answers in a circle
    ├── AskTimeout               no answer within the time allowed
    └── Rejected                 a declared answer: the request is declined, the actor is well

A message names the thing, the value and the remedy. `Local...` is a bug on this side, `Remote...` one on the other side.
"""

from __future__ import annotations


class FedactorsError(Exception):
    """Base of every error that fedactors raises on purpose."""


class ConfigError(FedactorsError):
    """The configuration, an option or a name is wrong; the message says where and what to write instead."""


class ExtraMissing(ConfigError):
    """An optional package is not installed; the message names the extra that brings it."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} needs the package {package!r}, which is not installed: pip install 'fedactors[{extra}]'")
        self.package = package
        self.extra = extra


class ModelError(FedactorsError):
    """Weights, a layout or a model file is wrong."""


class LayoutMismatch(ModelError):
    """Names, shapes or dtypes differ from the global model's."""


class UpdateRefused(FedactorsError):
    """An update, or the answer to a task, was not accepted; nothing was changed by it.

    Attributes:
        reason: one word of `fedactors.model.Refusal`, for counting.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class LearnerFailed(FedactorsError):
    """A learner's own code raised, or returned something that is not a result."""


class PrivacyBudgetSpent(LearnerFailed):
    """Another update would tell more of a learner's data than it allows."""


class StoreError(FedactorsError):
    """A model store could not read or write."""


class NoSuchModel(StoreError):
    """The version or the learner has no model in the store; it may have been evicted."""


class FederationFailed(FedactorsError):
    """The run cannot go on."""


class ProtocolError(FedactorsError):
    """A message broke the rules of the wire."""


class LocalProtocolError(ProtocolError):
    """This side broke the rules: a bug of fedactors or of its caller."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the rules."""


class TransportError(FedactorsError):
    """Bytes could not be moved."""


class AddressError(TransportError):
    """The address is malformed, in use, or may not be used."""


class StreamClosed(TransportError):
    """The stream is over: the peer is gone, or this side has closed it."""


class EndOfStream(StreamClosed):
    """The peer has finished its side of the stream in good order."""


class AccessDenied(StreamClosed):
    """A credential is missing, wrong or not enough, this side's or the peer's; trying again changes nothing."""


class Unreachable(TransportError):
    """Nobody answers at the address."""


class ActorError(FedactorsError):
    """Base of the actor runtime's errors."""


class ActorStopped(ActorError):
    """The actor has stopped, or it stopped before it answered."""


class MailboxFull(ActorError):
    """tell() to a bounded mailbox that has no room; send() waits instead."""


class Unhandled(ActorError):
    """The actor has no handler for that message."""


class AskCycle(ActorError):
    """Actors wait for each other's answers in a circle; the message shows the chain."""


class AskTimeout(ActorError, TimeoutError):
    """No answer came within the time allowed."""


class Rejected(ActorError):
    """A declared answer: raised in a handler, it reaches the asker and is no failure of the actor."""
