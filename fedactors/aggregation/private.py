"""Central differential privacy: the mean of clipped differences, with noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from fedactors.aggregation._distance import norm
from fedactors.aggregation._kernels import BLOCK, Block, add_scaled, cut, write_mean, zero_padding
from fedactors.aggregation._scratch import Scratch
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.lanes import share_out
from fedactors.aggregation.roll import Roll
from fedactors.aggregation.state import FoldState, put_back
from fedactors.dp.clipping import Adaptive
from fedactors.dp.noise import SECURE, STRETCHES_MAX, Gaussian, Noise, grid
from fedactors.errors import ConfigError
from fedactors.model import Array, Buffer, GlobalModel, Layout, LearnerId, Weights, is_floating

COUNT_STRETCH = STRETCHES_MAX - 1
"""Of a release's noise, for the count of updates that were not clipped; the model has the others, one a block."""


@dataclass(frozen=True, slots=True)
class Private(Rule):
    """fedavg or fedbuff over clipped differences, released with Gaussian noise once a round.

    x <- x + eta / n (sum_i f_i min(1, C / |w_i - b_i|) (w_i - b_i) + N(0, (z C)^2)), with w_i the `buffer`, b_i the `base` and
    f_i <= 1 the `factor` of contribution i, which is its staleness discount: the weighting is `participants`. The norm is over
    all floating-point tensors together; integers and bools stay what they are. What is not finite counts as its base.

    n is the *expected* number of updates, whatever comes: divided by the number that came, the sum would change by more than
    C / n when one learner comes or stays away. For the same reason a learner's first update in a round is its only one.

    With bases of an earlier version or an eta of its own this is fedbuff; otherwise every b_i is x, and it is fedavg. Memory: a
    float64 sum, so that rounding adds nothing to what a learner can change that matters.

    Attributes:
        clip_norm: C > 0; of the first round, where it adapts.
        noise_multiplier: z > 0, of the sum.
        cohort: n >= 1.
        server_learning_rate: eta > 0.
        adaptive: how C follows the norms; None: it stays.
        noise: where it comes from.

    Source: McMahan et al., Learning Differentially Private Recurrent Language Models, ICLR 2018, Algorithm 1, arXiv:1710.06963,
    with the fixed-denominator estimator of its section 2.2. Noise is rounded to a grid; see `fedactors.dp.noise`.
    """

    clip_norm: float
    noise_multiplier: float
    cohort: int
    server_learning_rate: float = 1.0
    adaptive: Adaptive | None = None
    noise: Noise = SECURE
    needs_base: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, value in (("dp.clip_norm", self.clip_norm), ("dp.noise_multiplier", self.noise_multiplier)):
            if not 0 < value < math.inf:
                raise ConfigError(f"{name} is {value}; give a number above 0")

    @override
    def fold(self, layout: Layout) -> Fold:
        return PrivateFold(self, layout)


class PrivateFold(Fold):
    """The open round's clipped sum, and the clip norm."""

    def __init__(self, rule: Private, layout: Layout) -> None:
        self._rule = rule
        self._layout = layout
        self._sum = NoisySum(layout)
        self._roll = Roll()
        self._seen: set[LearnerId] = set()
        self._surplus = 0.0
        self._clip_norm = np.array([rule.clip_norm])

    @property
    def clip_norm(self) -> float:
        """Of the open round."""
        return float(self._clip_norm[0])

    @override
    def add(self, contribution: Contribution) -> None:
        assert contribution.base is not None, f"the update of {contribution.learner} comes without its base"
        assert contribution.factor <= 1, f"{contribution.learner} has factor {contribution.factor}, more than one learner's share"
        is_new = contribution.learner not in self._seen
        if self._roll.enter(contribution) and is_new:
            self._seen.add(contribution.learner)
            self._add(contribution.buffer, contribution.base, contribution.factor)

    def _add(self, buffer: Buffer, base: Buffer, factor: float) -> None:
        length = norm(self._layout, buffer, base)
        self._surplus += 0.5 if length <= self.clip_norm else -0.5
        if length > self.clip_norm:
            factor *= self.clip_norm / length
        if math.isfinite(length) and factor > 0:
            self._sum.add(buffer, base, factor)

    @override
    def commit(self, current: GlobalModel) -> Buffer:
        self._roll.close()
        rule, gaussian = self._rule, self._rule.noise.release(current.version + 1)
        deviation = rule.noise_multiplier * self.clip_norm
        released = self._sum.release(current.buffer, rule.server_learning_rate / rule.cohort, deviation, gaussian)
        if rule.adaptive is not None:
            self._adapt(rule.adaptive, gaussian)
        self._begin_anew()
        return released

    def _adapt(self, adaptive: Adaptive, gaussian: Gaussian) -> None:
        noise = np.empty(1)
        gaussian.fill(noise, COUNT_STRETCH)
        step = grid(adaptive.count_noise)
        surplus = round((self._surplus + adaptive.count_noise * float(noise[0])) / step) * step
        self._clip_norm[0] = adaptive.next_norm(self.clip_norm, surplus, self._rule.cohort)

    @override
    def abandon(self) -> None:
        self._roll.clear()
        self._sum.clear()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._seen.clear()
        self._surplus = 0.0

    @override
    def state(self) -> FoldState:
        return FoldState(self._own())

    @override
    def restore(self, state: FoldState) -> None:
        put_back(state.arrays, self._own())

    def _own(self) -> Weights:
        return {} if self._rule.adaptive is None else {"clip_norm": self._clip_norm}


class NoisySum:
    """sum f_i (w_i - b_i) over a layout's floating-point tensors in float64, and its release with noise."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        blocks = [block for block in cut(layout, BLOCK) if is_floating(block.dtype)]
        self._sums = [(place, block, np.zeros(block.size)) for place, block in enumerate(blocks)]
        self._elements = sum(block.size for block in blocks)
        self._scratch = Scratch(max((total.nbytes for _, _, total in self._sums), default=0))

    def add(self, buffer: Buffer, base: Buffer, factor: float) -> None:
        """Add factor * (buffer - base)."""

        def work(part: tuple[int, Block, Array]) -> None:
            _, block, total = part
            with self._scratch.bench() as bench:
                tmp = bench.array(total.size, total.dtype)
                add_scaled(total, block.terms(buffer), factor, tmp, fresh=False, less=block.terms(base))

        share_out(work, self._sums, self._elements)

    def release(self, current: Buffer, scale: float, deviation: float, gaussian: Gaussian) -> Buffer:
        """Current + scale * (sum + noise), in a new buffer; nothing is added any more.

        Args:
            current: of the layout.
            scale: of sum and noise.
            deviation: > 0, the noise's standard deviation.
            gaussian: of this release alone.
        """
        out, step = current.copy(), grid(deviation)

        def work(part: tuple[int, Block, Array]) -> None:
            place, block, total = part
            with self._scratch.bench() as bench:
                noise = bench.array(total.size, total.dtype)
                gaussian.fill(noise, place)
                np.multiply(noise, deviation, out=noise)
                np.add(total, noise, out=total)
                np.multiply(total, 1 / step, out=total)
                np.rint(total, out=total)
                np.multiply(total, step * scale, out=total)
                np.add(total, block.of(current), out=total, casting="unsafe")
                write_mean(block.of(out), total, 1.0, bench, block.dtype)
                total[:] = 0.0

        share_out(work, self._sums, self._elements)
        zero_padding(out, self._layout)
        return out

    def clear(self) -> None:
        """Begin again."""
        for _, _, total in self._sums:
            total[:] = 0.0
