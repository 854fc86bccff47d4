"""How soon a thread that runs Python code lets the event loop have the interpreter.

Python lets it run on for 5 ms, by default. The loop is due again after each message; beside threads that fold, or that import and
compile what the folding is done with, it would be late by that much again and again.
"""

from __future__ import annotations

import sys

SWITCH_INTERVAL_S = 0.001
"""With 0.2 ms the loop is not much earlier, and weights take a third longer."""


def take_short_turns() -> None:
    """Have the threads of this process take turns of SWITCH_INTERVAL_S, unless theirs are shorter already."""
    sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL_S))
