"""Ray's workers are as nice as other tests: by itself, Ray starts them so nice that beside those they may need a minute to begin."""

import os

os.environ.setdefault("RAY_worker_niceness", "0")
