"""No orphans: a process that ends when the process that started it does, whatever ended that."""

from __future__ import annotations

import os
import signal
import threading
import time

GRACE_S = 3.0
"""Between the request to end and the end."""

EXIT_ORPHANED = 75
"""The exit code of a process that did not end by itself within the grace (EX_TEMPFAIL)."""


def exit_with_parent(fd: int, grace_s: float = GRACE_S) -> None:
    """End this process once the parent is gone.

    `fd` is the inherited read end of a pipe whose write end only the parent holds and never writes to: the kernel closes it when
    the parent ends, even by SIGKILL. This process is then asked to end by SIGTERM and, `grace_s` seconds later, made to.
    """
    threading.Thread(target=_watch, args=(fd, grace_s), name="parent-watch", daemon=True).start()


def _watch(fd: int, grace_s: float) -> None:
    while os.read(fd, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_s)
    os._exit(EXIT_ORPHANED)
