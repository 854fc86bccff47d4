"""What every aggregation rule owes its federation, checked on a rule of yours.

def test_my_rule_conforms():
    check_rule(MyRule(option=3))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.ordered import Ordered
from fedactors.aggregation.sharded import NOWHERE, InMemory, ShardFold, Waiting, combined, cut
from fedactors.errors import ModelError
from fedactors.model import DTYPES, Array, Buffer, GlobalModel, Layout, is_floating
from fedactors.task import TrainReport
from fedactors.variates import parted, with_variates

LAYOUT = Layout.from_specs(
    [
        *((f"{dtype}.values", dtype, (7, 3)) for dtype in DTYPES),
        *((f"{dtype}.scalar", dtype, ()) for dtype in DTYPES),
        ("empty", "float32", (0, 4)),
        ("long", "float32", (300_001,)),
    ]
)
"""Every dtype, changing from tensor to tensor; scalars, an empty tensor, one of several blocks."""


def check_rule(rule: Rule, *, equal_updates_are_a_fixed_point: bool = True, moves_only_with_its_updates: bool = True) -> None:
    """Have the rule combine updates of every dtype.

    Args:
        rule: with the options to check.
        equal_updates_are_a_fixed_point: whether learners that all send the same weights get these weights back, to within
            rounding; false for a rule that goes only a part of the way, or adds noise.
        moves_only_with_its_updates: whether a first round whose updates all equal the current model leaves it as it is, to
            within rounding; false for a rule that adds noise.

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
    _does_not_mind_the_leave_of_a_stranger(rule)
    _goes_on_from_its_state(rule)
    if rule.elementwise:
        _gives_the_same_bits_in_shards(rule)
    if rule.variates:
        _combines_tensors_alike_with_variates_and_without(rule)
        _leaves_variates_that_nobody_moves(rule)
    if moves_only_with_its_updates:
        _stays_where_all_updates_are(rule)
    if equal_updates_are_a_fixed_point:
        _keeps_what_all_agree_on(rule)


def example_buffer(seed: int, layout: Layout = LAYOUT) -> Buffer:
    """Weights for every dtype: floats of about -3 to 3, integers of 0 to 99, bools."""
    return _drawn(seed, layout).copy()


@lru_cache(maxsize=32)
def _drawn(seed: int, layout: Layout) -> Buffer:
    rng = np.random.default_rng(seed)
    buffer = np.zeros(layout.nbytes, np.uint8)
    for tensor in layout.tensors:
        view = layout.views(buffer)[tensor.name]
        drawn = rng.standard_normal(tensor.shape) if is_floating(tensor.dtype) else rng.integers(0, 100, tensor.shape)
        view[...] = drawn if tensor.dtype != "bool" else drawn > 50
    return buffer


def example_contributions(number: int = 5) -> list[Contribution]:
    """Updates of learners with different factors, reports and staleness, all from version 0."""
    base = example_buffer(1_000)
    return [_contribution(f"learner-{seed:03}", example_buffer(seed), float(10 + seed), base) for seed in range(number)]


def _contribution(learner: str, buffer: Buffer, factor: float, base: Buffer) -> Contribution:
    _fill_padding(buffer)
    num = int(factor)
    report = TrainReport(num_examples=num, num_batches=1 + num % 7, epochs=1.0)
    return Contribution(learner, buffer, factor, staleness=num % 3, report=report, base=base)


def _fill_padding(buffer: Buffer) -> None:
    """With NaN, as a peer may: it is nobody's value."""
    for padding in _paddings(buffer):
        padding[:] = 0xFF


def _paddings(buffer: Buffer) -> Iterator[Buffer]:
    """The bytes behind each tensor of `LAYOUT`."""
    ends = [*(following.offset for following in LAYOUT.tensors[1:]), LAYOUT.nbytes]
    for tensor, end in zip(LAYOUT.tensors, ends, strict=True):
        yield buffer[tensor.offset + tensor.nbytes : end]


def _enough(rule: Rule, at_least: int = 5) -> list[Contribution]:
    return example_contributions(max(at_least, rule.updates_min))


def _current() -> GlobalModel:
    return GlobalModel(0, LAYOUT, example_buffer(1_000))


def _combined(fold: Fold, contributions: Sequence[Contribution], current: GlobalModel | None = None) -> Buffer:
    for contribution in contributions:
        fold.add(contribution)
    return fold.commit(_current() if current is None else current)


def _commits_a_new_buffer(rule: Rule) -> None:
    current, contributions = _current(), _enough(rule)
    fold = rule.fold(LAYOUT)
    first = _combined(fold, contributions, current)
    bits = first.tobytes()
    assert first.dtype == np.uint8, f"commit returned {first.dtype}; uint8 is meant"
    assert first.shape == (LAYOUT.nbytes,), f"commit returned shape {first.shape}; ({LAYOUT.nbytes},) is meant"
    assert LAYOUT.first_not_finite(first) is None, (
        f"combining finite weights made {LAYOUT.first_not_finite(first)} NaN or infinite"
    )
    assert not any(padding.any() for padding in _paddings(first)), (
        "the padding behind a tensor is not zero; updates bring anything"
    )
    second = _combined(fold, contributions, current)
    others = [current.buffer, second, *(contribution.buffer for contribution in contributions)]
    assert not any(np.shares_memory(first, other) for other in others), "commit returned memory that is in use elsewhere"
    assert first.tobytes() == bits, "a later round changed the buffer that an earlier commit returned"


def _does_not_change_what_it_is_given(rule: Rule) -> None:
    current, contributions = _current(), _enough(rule)
    before = [contribution.buffer.tobytes() for contribution in contributions]
    _combined(rule.fold(LAYOUT), contributions, current)
    assert [contribution.buffer.tobytes() for contribution in contributions] == before, "the rule wrote to an update"
    assert current.buffer.tobytes() == _current().buffer.tobytes(), "the rule wrote to the current model"


def _does_not_keep_what_it_is_given(rule: Rule) -> None:
    fold = rule.fold(LAYOUT)
    for contribution in _enough(rule):
        fold.add(contribution)
        if not fold.holds(contribution.buffer):
            contribution.buffer[:] = 0xFF
    expected = _combined(rule.fold(LAYOUT), _enough(rule))
    said = "an update that was overwritten after add changed the result; set keeps_updates = True if the rule keeps updates"
    assert fold.commit(_current()).tobytes() == expected.tobytes(), said


def _leaves_no_trace_of_an_abandoned_round(rule: Rule) -> None:
    fold = rule.fold(LAYOUT)
    for contribution in example_contributions(3):
        fold.add(contribution)
    fold.abandon()
    fold.abandon()
    expected = _combined(rule.fold(LAYOUT), _enough(rule)[::-1])
    assert _combined(fold, _enough(rule)[::-1]).tobytes() == expected.tobytes(), "an abandoned round left a trace"


def _refuses_to_combine_nothing(rule: Rule) -> None:
    fold = rule.fold(LAYOUT)
    _is_refused(fold, "nothing was added")
    for learner in ("anna", "bela"):
        fold.add(_contribution(learner, example_buffer(1), 0.0, example_buffer(1_000)))
    said = _is_refused(fold, "all factors are 0")
    assert "anna" in said, f"the error does not name the learners whose factors sum to zero: {said}"
    assert "bela" in said, f"the error does not name the learners whose factors sum to zero: {said}"
    if rule.updates_min > 1:
        fold.add(example_contributions(1)[0])
        _is_refused(fold, f"the rule says that it needs {rule.updates_min} updates, and 1 was added")
    after = _combined(fold, _enough(rule, 2))
    expected = _combined(rule.fold(LAYOUT), _enough(rule, 2))
    assert after.tobytes() == expected.tobytes(), "a refused commit left a trace in the next round"


def _is_refused(fold: Fold, why: str) -> str:
    try:
        fold.commit(_current())
    except ModelError as error:
        return str(error)
    raise AssertionError(f"commit returned a model although {why}; ModelError is meant")


def _gives_the_same_bits_in_any_order(rule: Rule) -> None:
    contributions = _enough(rule)
    ordered = rule if isinstance(rule, Ordered) else Ordered(rule)
    forwards = _combined(ordered.fold(LAYOUT), contributions)
    backwards = _combined(ordered.fold(LAYOUT), contributions[::-1])
    assert forwards.tobytes() == backwards.tobytes(), (
        "the same updates gave other bits in another order, although ordered by learner"
    )


def _gives_the_same_bits_in_shards(rule: Rule) -> None:
    contributions, current, whole = _enough(rule), _current(), rule.fold(LAYOUT)
    waiting = [
        Waiting(replace(one, buffer=NOWHERE, base=None), InMemory(one.buffer), None if one.base is None else InMemory(one.base))
        for one in contributions
    ]
    folds = [ShardFold(rule, shard) for shard in cut(LAYOUT, 3)]
    for number in ("first", "second"):
        bits = combined(folds, waiting, current).tobytes()
        assert bits == _combined(whole, contributions, current).tobytes(), (
            f"combining the model in shards gives other bits in the {number} round, and the rule says that it is elementwise"
        )


def _does_not_mind_the_leave_of_a_stranger(rule: Rule) -> None:
    fold = rule.fold(LAYOUT)
    fold.forget("nobody")
    said = "a learner that left before it had sent anything changed the result"
    assert _combined(fold, _enough(rule)).tobytes() == _combined(rule.fold(LAYOUT), _enough(rule)).tobytes(), said


def _goes_on_from_its_state(rule: Rule) -> None:
    fold, model = rule.fold(LAYOUT), _current()
    for number in range(3):
        model = _next_round(rule, fold, model, number)
    kept = fold.state()
    bits = {learner: update.tobytes() for learner, update in kept.updates.items()}
    other = rule.fold(LAYOUT)
    other.restore(replace(kept, arrays={name: array.copy() for name, array in kept.arrays.items()}))
    there = here = model
    for number in range(3, 5):
        there, here = _next_round(rule, fold, there, number), _next_round(rule, other, here, number)
        assert there.buffer.tobytes() == here.buffer.tobytes(), (
            "a fold that restored another one's state goes on with other bits; state() must hold whatever is kept between rounds"
        )
    after = {learner: update.tobytes() for learner, update in kept.updates.items()}
    assert after == bits, "an update that was in a state was written to afterwards"


def _next_round(rule: Rule, fold: Fold, model: GlobalModel, number: int) -> GlobalModel:
    """A round whose learners are partly those of the round before; one of them leaves."""
    learners = range(number, number + max(3, rule.updates_min))
    updates = [_contribution(f"learner-{i}", example_buffer(10 * number + i), 10.0 + i + number, model.buffer) for i in learners]
    combined = _combined(fold, updates, model)
    fold.forget(f"learner-{number + 1}")
    return GlobalModel(model.version + 1, LAYOUT, combined)


def _stays_where_all_updates_are(rule: Rule) -> None:
    current = _current()
    updates = [_contribution(c.learner, current.buffer.copy(), c.factor, current.buffer) for c in _enough(rule)]
    _is_about(_combined(rule.fold(LAYOUT), updates), current.buffer, "all updates equal the current model, but {} moved")


def _keeps_what_all_agree_on(rule: Rule) -> None:
    agreed = example_buffer(7)
    base = example_buffer(1_000)
    contributions = [_contribution(c.learner, agreed.copy(), c.factor, base) for c in _enough(rule)]
    combined = _combined(rule.fold(LAYOUT), contributions)
    _is_about(combined, agreed, "all updates agree on {}, and the combination differs")


def _is_about(found: Buffer, expected: Buffer, said: str) -> None:
    views = LAYOUT.views(found)
    for name, value in LAYOUT.views(expected).items():
        close = np.allclose(views[name].astype(np.float64), value.astype(np.float64), rtol=1e-6, atol=1e-6)
        assert close, said.format(repr(name))


def _varied(buffer: Buffer, *, growth: float) -> tuple[Layout, Buffer]:
    """The same tensors, and variates that all hold one value."""
    weights = with_variates(LAYOUT.views(buffer))
    for array in parted(weights)[1].values():
        array[...] = growth
    layout = Layout.of(weights)
    return layout, layout.pack(weights)


def _varied_round(rule: Rule, *, growth: float) -> dict[str, Array]:
    """What comes of a round of a model whose variates are 2, and of updates whose variates are `growth`."""
    layout, current = _varied(_current().buffer, growth=2.0)
    updates = [
        replace(
            c,
            buffer=_varied(c.buffer, growth=growth)[1],
            base=None if c.base is None else _varied(c.base, growth=2.0)[1],
        )
        for c in _enough(rule)
    ]
    return layout.views(_combined(rule.fold(layout), updates, GlobalModel(0, layout, current)))


def _combines_tensors_alike_with_variates_and_without(rule: Rule) -> None:
    found, _ = parted(_varied_round(rule, growth=1.0))
    for name, expected in LAYOUT.views(_combined(rule.fold(LAYOUT), _enough(rule))).items():
        assert found[name].tobytes() == expected.tobytes(), f"{name!r} is combined otherwise where there are variates"


def _leaves_variates_that_nobody_moves(rule: Rule) -> None:
    for name, variate in parted(_varied_round(rule, growth=0.0))[1].items():
        assert (variate == 2.0).all(), f"no update moves the variate of {name!r}, and it moved"
