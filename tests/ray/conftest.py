"""Ray's workers are as nice as other tests: else they may need a minute to begin beside those."""

import os

os.environ.setdefault("RAY_worker_niceness", "0")
