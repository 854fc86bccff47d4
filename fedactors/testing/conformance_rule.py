"""What every aggregation rule owes its federation, checked on a rule of yours.

def test_my_rule_conforms():
    check_rule(MyRule(option=3))
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.ordered import Ordered
from fedactors.errors import ModelError
from fedactors.model import DTYPES, Buffer, GlobalModel, Layout, is_floating

LAYOUT = Layout.from_specs(
    [
        *((f"{dtype}.values", dtype, (7, 3)) for dtype in DTYPES),
        *((f"{dtype}.scalar", dtype, ()) for dtype in DTYPES),
        ("empty", "float32", (0, 4)),
        ("long", "float32", (300_001,)),
    ]
)
"""Every dtype, changing from tensor to tensor; scalars, an empty tensor, one of several blocks."""


def check_rule(rule: Rule, *, equal_updates_are_a_fixed_point: bool = True) -> None:
    """Have the rule combine updates of every dtype.

    Args:
        rule: with the options to check.
        equal_updates_are_a_fixed_point: whether learners that all send the same weights get these weights back, to within
            rounding; false for a rule that goes only a part of the way, or adds noise.

    Raises:
        AssertionError: it does not do what a rule owes; the message says what.
    """
    _commits_a_new_buffer(rule)
    _does_not_change_what_it_is_given(rule)
    if not rule.keeps_updates:
        _does_not_keep_what_it_is_given(rule)
    _leaves_no_trace_of_an_abandoned_round(rule)
    _refuses_to_combine_nothing(rule)
    _gives_the_same_bits_in_any_order(rule)
    if equal_updates_are_a_fixed_point:
        _keeps_what_all_agree_on(rule)


def example_buffer(seed: int, layout: Layout = LAYOUT) -> Buffer:
    """Weights for every dtype: floats of about -3 to 3, integers of 0 to 99, bools."""
    rng = np.random.default_rng(seed)
    buffer = np.zeros(layout.nbytes, np.uint8)
    for tensor in layout.tensors:
        view = layout.views(buffer)[tensor.name]
        drawn = rng.standard_normal(tensor.shape) if is_floating(tensor.dtype) else rng.integers(0, 100, tensor.shape)
        view[...] = drawn if tensor.dtype != "bool" else drawn > 50
    return buffer


def example_contributions(number: int = 5) -> list[Contribution]:
    """Updates of learners with different factors."""
    return [Contribution(f"learner-{seed:03}", example_buffer(seed), float(10 + seed)) for seed in range(number)]


def _current() -> GlobalModel:
    return GlobalModel(0, LAYOUT, example_buffer(1_000))


def _combined(fold: Fold, contributions: Sequence[Contribution], current: GlobalModel | None = None) -> Buffer:
    for contribution in contributions:
        fold.add(contribution)
    return fold.commit(_current() if current is None else current)


def _commits_a_new_buffer(rule: Rule) -> None:
    current, contributions = _current(), example_contributions()
    fold = rule.fold(LAYOUT)
    first = _combined(fold, contributions, current)
    bits = first.tobytes()
    assert first.dtype == np.uint8, f"commit returned {first.dtype}; uint8 is meant"
    assert first.shape == (LAYOUT.nbytes,), f"commit returned shape {first.shape}; ({LAYOUT.nbytes},) is meant"
    assert LAYOUT.first_not_finite(first) is None, (
        f"combining finite weights made {LAYOUT.first_not_finite(first)} NaN or infinite"
    )
    second = _combined(fold, contributions, current)
    others = [current.buffer, second, *(contribution.buffer for contribution in contributions)]
    assert not any(np.shares_memory(first, other) for other in others), "commit returned memory that is in use elsewhere"
    assert first.tobytes() == bits, "a later round changed the buffer that an earlier commit returned"


def _does_not_change_what_it_is_given(rule: Rule) -> None:
    current, contributions = _current(), example_contributions()
    before = [contribution.buffer.tobytes() for contribution in contributions]
    _combined(rule.fold(LAYOUT), contributions, current)
    assert [contribution.buffer.tobytes() for contribution in contributions] == before, "the rule wrote to an update"
    assert current.buffer.tobytes() == _current().buffer.tobytes(), "the rule wrote to the current model"


def _does_not_keep_what_it_is_given(rule: Rule) -> None:
    fold = rule.fold(LAYOUT)
    for contribution in example_contributions():
        fold.add(contribution)
        contribution.buffer[:] = 0xFF
    expected = _combined(rule.fold(LAYOUT), example_contributions())
    said = "an update that was overwritten after add changed the result; set keeps_updates = True if the rule keeps updates"
    assert fold.commit(_current()).tobytes() == expected.tobytes(), said


def _leaves_no_trace_of_an_abandoned_round(rule: Rule) -> None:
    fold = rule.fold(LAYOUT)
    for contribution in example_contributions(3):
        fold.add(contribution)
    fold.abandon()
    fold.abandon()
    expected = _combined(rule.fold(LAYOUT), example_contributions()[2:])
    assert _combined(fold, example_contributions()[2:]).tobytes() == expected.tobytes(), "an abandoned round left a trace"


def _refuses_to_combine_nothing(rule: Rule) -> None:
    fold = rule.fold(LAYOUT)
    _is_refused(fold, "nothing was added")
    for learner in ("anna", "bela"):
        fold.add(Contribution(learner, example_buffer(1), 0.0))
    said = _is_refused(fold, "all factors are 0")
    assert "anna" in said, f"the error does not name the learners whose factors sum to zero: {said}"
    assert "bela" in said, f"the error does not name the learners whose factors sum to zero: {said}"
    after = _combined(fold, example_contributions(2))
    expected = _combined(rule.fold(LAYOUT), example_contributions(2))
    assert after.tobytes() == expected.tobytes(), "a refused commit left a trace in the next round"


def _is_refused(fold: Fold, why: str) -> str:
    try:
        fold.commit(_current())
    except ModelError as error:
        return str(error)
    raise AssertionError(f"commit returned a model although {why}; ModelError is meant")


def _gives_the_same_bits_in_any_order(rule: Rule) -> None:
    contributions = example_contributions()
    ordered = rule if isinstance(rule, Ordered) else Ordered(rule)
    forwards = _combined(ordered.fold(LAYOUT), contributions)
    backwards = _combined(ordered.fold(LAYOUT), contributions[::-1])
    assert forwards.tobytes() == backwards.tobytes(), (
        "the same updates gave other bits in another order, although ordered by learner"
    )


def _keeps_what_all_agree_on(rule: Rule) -> None:
    agreed = example_buffer(7)
    contributions = [Contribution(f"learner-{n}", agreed.copy(), 3.0 + n) for n in range(5)]
    combined = LAYOUT.views(_combined(rule.fold(LAYOUT), contributions))
    for name, expected in LAYOUT.views(agreed).items():
        close = np.allclose(combined[name].astype(np.float64), expected.astype(np.float64), rtol=1e-6, atol=1e-6)
        assert close, f"all updates agree on {name!r}, and the combination differs"
