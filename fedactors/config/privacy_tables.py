"""The configuration's tables about what others may learn from updates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fedactors.config.table import Count, Options, Positive, Table


class SecureTable(Table):
    """How updates are added up by a controller that cannot read them.

    Attributes:
        method: of secure aggregation; without one, the controller sees every update.
        options: of this method.
    """

    method: str | None = None
    options: Options = {}


class AdaptiveTable(Table):
    """The clip norm follows the updates' norms (Andrew et al., NeurIPS 2021).

    Attributes:
        quantile: the share of updates that shall not be clipped.
        learning_rate: how fast the clip norm's logarithm follows.
        count_noise: standard deviation of the noise on the number of updates that were not clipped; without it, a twentieth
            of the cohort, and at least the noise multiplier.
    """

    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.5
    learning_rate: Positive = 0.2
    count_noise: Positive | None = None


class DpTable(Table):
    """Differential privacy: what may be learnt of one learner from what is released, whatever else is known.

    Attributes:
        mechanism: "central": the controller clips updates and adds noise to their sum, and is trusted with them; "local": each
            learner clips its updates and adds the noise itself; without one, there is no noise.
        clip_norm: the Euclidean norm beyond which an update's difference is shortened; the first one, where it adapts.
        noise_multiplier: standard deviation of the noise over clip_norm. Where it is not given, the least with which
            `stop.rounds` rounds stay within `epsilon_max`; it is then written into the run directory's config.toml.
        delta: the chance that epsilon is allowed to fail with; below one over the number of learners.
        epsilon_max: the budget: the federation stops before the round that would exceed it.
        adaptive: have clip_norm follow a quantile of the updates' norms; {} takes the paper's values.
        cohort: what the sum is divided by, whatever comes: the expected number of updates in a round; by default, how many the
            selection policy takes of `learners.count`, or how many the protocol buffers.
        amplification: count it in epsilon that learners are drawn in secret: with selection.policy = "uniform" and protocols in
            rounds, each of which then begins only with `learners.min` learners.
        noise_seed: for tests alone: whoever knows it can take the noise away.
        sampling_seed: of the secret draw; drawn where it is not given, and written into the run directory's config.toml.
    """

    mechanism: Literal["central", "local"] | None = None
    clip_norm: Positive | None = None
    noise_multiplier: Positive | None = None
    delta: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    epsilon_max: Positive | None = None
    adaptive: AdaptiveTable | None = None
    cohort: Count | None = None
    amplification: bool = False
    noise_seed: int | None = None
    sampling_seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
