"""Settings of Python's garbage collector under which it takes a tenth less of a controller's time.

It looks for cycles whenever 700 more objects were made than freed, by default, and now and then through all that the process has
imported. Messages and frames are no cycles: counting references frees them.
"""

from __future__ import annotations

import gc

THRESHOLDS = (10_000, 10, 10)
"""More objects made than freed before the youngest are looked through; so many times before the older, and the oldest, are."""


def collect_seldom() -> None:
    """Leave alone what there is in this process, and look through what comes less often; once, when its imports are done."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
