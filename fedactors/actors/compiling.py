"""Compiled kernels are made beside the work: nothing waits for them, and what is done before they are there numpy does.

The one thread of a process that makes them takes a second of processor time, and some more where nothing was compiled before;
they and numba take 180 MB. So it is begun only where a model is large enough, and where the extra is installed.
"""

from __future__ import annotations

import gc
from functools import cache
from threading import Thread

from fedactors.aggregation import _compiled
from fedactors.log import get_logger

log = get_logger("fedactors.compiling")

COMPILED_BYTES_MIN = 64_000_000
"""Work on so much memory that compiled kernels pay for their making: folding an update of ten million parameters, or a round's
of a million. Ten updates of a million, one by one, are folded in some milliseconds less, which a run seldom earns back."""


@cache
def begin() -> Thread:
    """Begin to compile, once in a process; the thread is nobody's to wait for."""
    thread = Thread(target=_compile, name="compile", daemon=True)
    thread.start()
    return thread


def _compile() -> None:
    """Put the kernels at hand.

    The garbage collector would go through all that numba is made of several times meanwhile, and now and then for ever after,
    60 ms in which nothing else runs: it is off meanwhile, and what is there at the end is no longer looked at.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        if _compiled.load():
            gc.freeze()
            log.info("kernels_ready", compiled_by=_compiled.names())
    except Exception as error:  # whatever a release of numba may raise, numpy goes on
        log.warning("kernels_not_compiled", why=str(error))
    finally:
        if was_enabled:
            gc.enable()
