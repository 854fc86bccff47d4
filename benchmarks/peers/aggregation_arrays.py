"""The updates that are aggregated: the same arrays in every process, with numpy alone so that a peer's environment has it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

SIZES = {"100K": 105_921, "1M": 1_011_001, "10M": 10_275_201}
WIDTHS = {"100K": 32, "1M": 100, "10M": 320}
HIDDEN_LAYERS = 100
SHAPES = ("flat", "layers")


def layer_shapes(shape: str, size: str) -> list[tuple[int, ...]]:
    """The 204 tensors of 8 to w, 100 layers of w by w, and w to 1, with biases; or one array of as many elements."""
    if shape == "flat":
        return [(SIZES[size],)]
    widths = [8, *[WIDTHS[size]] * (HIDDEN_LAYERS + 1), 1]
    return [each for fan_in, fan_out in pairwise(widths) for each in ((fan_out, fan_in), (fan_out,))]


def update(shape: str, size: str, index: int) -> list[np.ndarray]:
    """The update of one learner, float32."""
    rng = np.random.default_rng(index)
    return [rng.standard_normal(each, np.float32) for each in layer_shapes(shape, size)]


def num_examples(index: int) -> int:
    """What that update is weighted by."""
    return 1 + index
