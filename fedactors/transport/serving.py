"""The listener's side of a stream's life, the same for every transport."""

from __future__ import annotations

import logging

from fedactors.errors import AccessDenied, FedactorsError
from fedactors.transport.base import Accept, Stream

ACCEPT_END_S = 1.0
"""How long an accept may take to end once its stream has been cut; then it is cancelled."""

log = logging.getLogger(__name__)


async def serve(accept: Accept, stream: Stream) -> str | None:
    """Let `accept` serve the stream: None if it ended in good order, else why the stream has to be cut."""
    try:
        await accept(stream)
    except AccessDenied as denial:  # written down by whoever decides; a flood of them must not fill the log
        stream.deny(str(denial))
    except FedactorsError as error:
        log.info("stream_failed method=%s peer=%s error=%s", stream.method, stream.peer, error)
        return str(error) or type(error).__name__
    except Exception as error:
        log.exception("stream_failed method=%s peer=%s", stream.method, stream.peer)
        return f"the listener failed: {type(error).__name__}"
    return None
