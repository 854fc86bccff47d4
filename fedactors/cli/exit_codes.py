"""What a process says by its exit code."""

from __future__ import annotations

import enum

from fedactors.errors import ConfigError, LearnerFailed, TransportError


class ExitCode(enum.IntEnum):
    """See `meanings` for what each one says."""

    DONE = 0
    FAILED = 1
    CONFIG = 2
    UNREACHABLE = 3
    LEARNER = 4
    INTERRUPTED = 5
    BUG = 70
    ABORTED = 130


MEANINGS = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "the federation failed",
    ExitCode.CONFIG: "the configuration or the command line is wrong",
    ExitCode.UNREACHABLE: "an address cannot be reached or listened at, or denies access",
    ExitCode.LEARNER: "a learner's own code failed",
    ExitCode.INTERRUPTED: "stopped by Ctrl-C before its time: ended cleanly, everything saved",
    ExitCode.BUG: "a bug in fedactors",
    ExitCode.ABORTED: "Ctrl-C twice: stopped at once",
}


def exit_code(error: BaseException) -> ExitCode:
    """The exit code of an error that ends the process."""
    match error:
        case ConfigError():
            return ExitCode.CONFIG
        case TransportError():
            return ExitCode.UNREACHABLE
        case LearnerFailed():
            return ExitCode.LEARNER
        case _:
            return ExitCode.FAILED
