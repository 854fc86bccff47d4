"""How many examples hypothesis tries: some in every run, more by `HYPOTHESIS_PROFILE=thorough`; and what is tested first."""

import os

from hypothesis import settings

settings.register_profile("quick", max_examples=15, deadline=None)
settings.register_profile("thorough", max_examples=150, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

LONGEST = ("tests/test_checks.py", "tests/docs/test_newcomer.py", "tests/test_benchmarks.py")


def pytest_collection_modifyitems(items):
    """Begin with what takes longest: at the end, all but one core would wait for it."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
