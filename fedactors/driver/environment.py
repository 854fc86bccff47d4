"""What a run was run with: releases and the machine."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

BESIDE = ("numba", "torch", "scikit-learn", "keras", "xgboost")
"""Packages that matter for what came out, or for how fast, beside those that fedactors asks for."""


def environment() -> dict[str, Any]:
    """Of this process: releases of fedactors, Python and packages, the system, and how many cores it may use."""
    asked_for = [re.split(r"[^\w.-]", wanted)[0] for wanted in requires("fedactors") or [] if "extra ==" not in wanted]
    releases = {name: release for name in ("fedactors", *asked_for, *BESIDE) if (release := _release(name)) is not None}
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "packages": releases,
    }


def _release(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
