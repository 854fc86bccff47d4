"""What a user's mistake comes to in one line: what was raised and where in their own code, or what was returned."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

MESSAGE_CHARS_MAX = 300

_PACKAGE = str(Path(__file__).resolve().parents[1])
_FOREIGN = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def blamed(error: BaseException) -> str:
    """One line: `ZeroDivisionError: division by zero (learner.py:17 in train)`.

    The place is the innermost frame that is neither fedactors' nor an installed package's; where there is none, the innermost.
    """
    message = " ".join(str(error).split())[:MESSAGE_CHARS_MAX]
    hint = "; weights are read-only: change a copy" if "read-only" in message else ""
    said = f"{type(error).__name__}: {message}{hint}" if message else type(error).__name__
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_PACKAGE)]
    if not frames:
        return said
    own = [frame for frame in frames if not frame.filename.startswith((*_FOREIGN, "<"))]
    frame = (own or frames)[-1]
    return f"{said} ({Path(frame.filename).name}:{frame.lineno} in {frame.name})"


def kind_of(value: object) -> str:
    """What a value is, for a message: "None", "a dict", "an ndarray"."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"an {name}" if name[:1].lower() in ("a", "e", "i", "o", "u") or name == "ndarray" else f"a {name}"
