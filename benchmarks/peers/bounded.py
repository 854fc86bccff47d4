"""Run a command within bounds of time and memory, and leave none of its processes behind, however it ends. Linux only."""

from __future__ import annotations

import ctypes
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
POLL_S = 0.2
STOP_WAIT_S = 10.0
MEMORY_LEFT_MIN_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: what it printed, or why that is not to be had."""

    output: str
    trouble: str | None


def adopt_orphans() -> None:
    """From now on a process whose parent ends becomes this one's child: daemons of what we start cannot slip away."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "this process cannot adopt the orphans of what it starts")


def run(command: Sequence[object], limit_s: float, log: Path, environment: dict[str, str]) -> Ended:
    """Run a command to its end, to the limit of time, or until memory is short; its standard error goes to `log`."""
    with log.open("wb") as errors:
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=errors, env=environment)
        try:
            trouble = watch(process, limit_s)
        finally:
            stop_descendants()
        output = process.stdout.read().decode()
    return Ended(output, trouble or failure(process.returncode, log))


def watch(process: subprocess.Popen, limit_s: float) -> str | None:
    """Wait for a process; the reason why it must be stopped, or None when it ended by itself."""
    deadline_s = time.monotonic() + limit_s
    while process.poll() is None:
        if time.monotonic() > deadline_s:
            return f"no end within {limit_s:.0f} s"
        if psutil.virtual_memory().available < MEMORY_LEFT_MIN_BYTES:
            return f"less than {MEMORY_LEFT_MIN_BYTES >> 30} GiB of memory left"
        time.sleep(POLL_S)
    return None


def failure(status: int, log: Path) -> str | None:
    """What a command that ended by itself says of its failure, in its last line; None if it succeeded."""
    if status == 0:
        return None
    lines = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    return f"failed: {lines[-1].strip()}"


def stop_descendants() -> None:
    """End all processes below this one, gently at first; those that they leave behind while they end, too."""
    for order in (psutil.Process.terminate, psutil.Process.kill, psutil.Process.kill):
        living = psutil.Process().children(recursive=True)
        for process in living:
            try:
                order(process)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(living, STOP_WAIT_S)
