"""Where drivers and operators are served: each stream of the Admin service is one question to an actor, and its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import numpy as np

from fedactors.actors.messages import EventsFrom, GetBlob, GetStatus, Initialise, Order, ToAggregator, ToController, ToModelStore, Verb
from fedactors.errors import ModelError, Rejected
from fedactors.model import Layout
from fedactors.protocol import admin, receive_blob, send_blob
from fedactors.runtime import ActorRef
from fedactors.transport import Stream


class Actors(Protocol):
    """Whom the desk asks."""

    controller: ActorRef[ToController]
    aggregator: ActorRef[ToAggregator]
    store: ActorRef[ToModelStore]
