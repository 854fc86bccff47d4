"""Who did what, and who was refused: one line of JSON each, and an event of the logger `fedactors.audit`.

    {"time": "...", "did": "ordered", "who": "operator 'ada'", "by": "token", "peer": "ipv4:10.0.0.7:51234", "verb": "stop", ...}

No line holds a credential. Refusals, which anybody can cause, are written at a bounded rate; the next one that is written says
how many were not.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedactors.access.callers import Caller
from fedactors.log import get_logger

log = get_logger("fedactors.audit")

REFUSALS_AT_ONCE = 20
REFUSALS_PER_S = 0.2
"""Some 17,000 lines a day, 5 MB, whatever comes."""
VALUE_CHARS_MAX = 200
"""Of a word that a peer has chosen."""


@dataclass(slots=True)
class Allowance:
    """How many more may pass: `at_once`, and then as many as come again in time, `per_s`."""

    at_once: float
    per_s: float
    left: float
    since_s: float

    def take(self, now_s: float) -> bool:
        """Whether one more may pass now."""
        self.left = min(self.at_once, self.left + self.per_s * (now_s - self.since_s))
        self.since_s = now_s
        passes = self.left >= 1
        self.left -= passes
        return passes


class Audit:
    """Writes lines to a file, if there is one, and to the log."""

    def __init__(
        self,
        path: Path | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Open the file, which is made unless it is there, for its owner alone.

        Raises:
            OSError: it cannot be written.
        """
        self._file = None if path is None else os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w")
        self._clock, self._wall = clock, wall
        self._allowance = Allowance(REFUSALS_AT_ONCE, REFUSALS_PER_S, REFUSALS_AT_ONCE, clock())
        self._unwritten = 0

    def did(self, what: str, caller: Caller, peer: str, **more: Any) -> None:
        """Somebody did something."""
        self._write(what, {"who": str(caller), "by": caller.by, "peer": peer, **more})

    def refused(self, why: str, peer: str, **more: Any) -> None:
        """Somebody was refused; written if there were not too many of late."""
        if not self._allowance.take(self._clock()):
            self._unwritten += 1
            return
        unwritten, self._unwritten = self._unwritten, 0
        self._write("refused", {"peer": peer, "why": why, **more, **({"unwritten": unwritten} if unwritten else {})})

    def close(self) -> None:
        """Write nothing more. Idempotent."""
        if self._unwritten:
            unwritten, self._unwritten = self._unwritten, 0
            self._write("refused", {"unwritten": unwritten})
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, what: str, given: dict[str, Any]) -> None:
        words = {key: value[:VALUE_CHARS_MAX] if isinstance(value, str) else value for key, value in given.items()}
        log.info(what, **words)
        if self._file is None:
            return
        moment = datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="milliseconds")
        try:
            self._file.write(json.dumps({"time": moment, "did": what, **words}) + "\n")
            self._file.flush()
        except OSError as error:  # a full disk is no reason to end the run; the log has the line
            log.error("audit_not_written", why=str(error))
