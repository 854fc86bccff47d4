"""Which method of an actor handles which message; and the handlers of the runtime's own entries in a mailbox."""

from __future__ import annotations

import types
import typing
from asyncio import Future
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from fedactors.errors import Unhandled
from fedactors.runtime.message import Finished, Stop, Tick
from fedactors.runtime.reply import Reply

if TYPE_CHECKING:
    from fedactors.runtime.actor import Actor

fulfil = Future.set_result
Handler = Callable[[Any, Any], Any]
F = TypeVar("F", bound=Callable[..., Any])


def handle(method: F) -> F:
    """Mark a method as the handler of the message type, or of each type of the union, that its argument is annotated with."""
    method.__handles__ = True  # type: ignore[attr-defined]  # a function takes attributes; a Callable is not known to
    return method


class HandlerTable(dict[type, Handler]):
    """The handler of each message type of one actor class; of a subclass of it, where that has none of its own."""

    def __init__(self, actor: type[Actor[Any]]) -> None:
        super().__init__({Reply: _answer, Stop: _pass_on, Tick: _tick, Finished: _finish})
        names = {name: None for base in reversed(actor.__mro__) for name, fn in vars(base).items() if hasattr(fn, "__handles__")}
        for name in names:
            method = getattr(actor, name)
            for kind in message_types(actor, method):
                self[kind] = method
        for base in getattr(actor, "__orig_bases__", ()):
            for kind in flatten(base.__args__[0]) if base.__origin__ is actor.__base__ else ():
                handled = any(ancestor in self for ancestor in kind.__mro__)
                assert handled, f"{actor.__qualname__} says that it takes {kind.__qualname__}, but has no handler for it"

    def __missing__(self, kind: type) -> Handler:
        handler = next((self[base] for base in kind.__mro__ if base in self), _unhandled)
        self[kind] = handler
        return handler


def message_types(actor: type[Actor[Any]], method: Callable[..., Any]) -> list[type]:
    """What a handler's argument is annotated with."""
    owner = next(vars(base)[method.__name__] for base in actor.__mro__ if hasattr(vars(base).get(method.__name__), "__handles__"))
    where = f"{actor.__qualname__}.{method.__name__}"
    try:
        hints = typing.get_type_hints(owner)
    except NameError as error:
        raise TypeError(f"{where}: the message type cannot be read ({error}); define it at the top of its module") from error
    hints.pop("return", None)
    assert len(hints) == 1, f"{where} handles messages: it takes one argument, annotated with the message's type"
    return flatten(*hints.values())


def flatten(hint: Any) -> list[type]:
    """The classes of a union, of an alias or of a generic message."""
    hint = getattr(hint, "__value__", hint)
    arguments = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if isinstance(origin, type) and origin is not types.UnionType:
        return [origin]
    if arguments:
        return [kind for argument in arguments for kind in flatten(argument)]
    return [hint] if isinstance(hint, type) and hint is not Any else []


def _answer(actor: Actor[Any], reply: Reply[Any]) -> Any:
    """Handle an ask. A coroutine is left to the actor's own task, which then answers what `_asked` holds."""
    if reply.done():
        return None  # the asker is gone, and nothing has begun
    ref, message = actor.ref, reply.message
    ref._asked = reply
    result = ref._handlers[message.__class__](actor, message)
    if result.__class__ is types.CoroutineType:
        return result
    if ref._asked is not None:
        ref._asked = None
        if reply._wake is None:
            fulfil(reply, result)  # nobody waits yet: as a rule the asker has run this itself
        else:
            reply.set_result(result)
    return None


def _pass_on(_: Actor[Any], signal: Stop) -> Stop:
    return signal


def _tick(actor: Actor[Any], tick: Tick) -> Any:
    return actor.ref._handlers[tick.message.__class__](actor, tick.message) if actor.ref._get_life().begin_tick(tick) else None


def _finish(actor: Actor[Any], finished: Finished) -> Any:
    message = finished.then(finished.outcome)
    return actor.ref._handlers[message.__class__](actor, message)


def _unhandled(actor: Actor[Any], message: Any) -> None:
    ref = actor.ref
    if ref._asked is not None:
        ref._asked.set_exception(Unhandled(f"{ref.path} ({type(actor).__name__}) has no handler for {type(message).__name__}"))
        ref._asked = None
    else:
        ref._system._bury(message, ref, "unhandled")
