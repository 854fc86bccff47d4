"""Masked secure aggregation in whole federations: exact for whoever stays, at every stage, and nothing below the threshold."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections import Counter, defaultdict
from contextlib import closing, suppress
from typing import Any

import numpy as np
import pytest

from fedactors import Federation
from fedactors import config as configuration
from fedactors.actors.line import Line
from fedactors.aggregation.masked import MaskedFold
from fedactors.errors import FederationFailed, LearnerFailed
from fedactors.journal import FileJournal, Opened
from fedactors.learner import LearnerClient, LearnerContext
from fedactors.learner.masked_rounds import MaskedRounds
from fedactors.log import get_logger
from fedactors.model import Array, LearnerId
from fedactors.privacy.masking.member import Member
from fedactors.privacy.masking.messages import KEYS, SHARES, UNMASK
from fedactors.privacy.masking.round import MaskedRound
from fedactors.protocol import Masking
from fedactors.record import Event, Results
from fedactors.scheduling.rounds import RoundsSchedule
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport

COUNT = 5
STEPS = np.arange(1.0, COUNT + 1)
EXAMPLES = 10 * np.arange(1, COUNT + 1)
HASTY = {"stage_timeout_s": 2.0}
"""Long enough for learners that answer, on a busy machine; who is silent is waited for."""
EVERYBODY = {"name": "synchronous", "options": {"min_updates": COUNT}}


class Steady:
    """Learner i adds i + 1 to every weight, and counts 10 (i + 1) examples."""

    def __init__(self, context: LearnerContext) -> None:
        self.index = context.index
        self.num_train_examples = self.num_test_examples = int(EXAMPLES[context.index])

    def get_weights(self):
        return {"w": np.zeros((40, 40), np.float32), "b": np.ones(3, np.float64)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        return {name: array + array.dtype.type(STEPS[self.index]) for name, array in weights.items()}, {"loss": 0.5}

    def evaluate(self, weights, params):
        return {"mean": float(weights["w"].mean())}


def tables(rounds: int = 2, *, options: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "name": "masked",
        "seed": 3,
        "learners": {"count": COUNT, "min": COUNT},
        "protocol": {"name": "synchronous", "options": {"min_updates": 4}},
        "secure": {"method": "masking", "options": {"stage_timeout_s": 30.0, "clip": 8.0, **(options or {})}},
        "stop": {"rounds": rounds},
        "evaluate": {"every": 0},
        **more,
    }


async def run(config: dict[str, Any], learner: Any = Steady) -> tuple[Results, dict[str, Array], list[Event]]:
    """A whole federation in this process."""
    async with asyncio.timeout(60), Federation(config) as federation:
        for _ in range(config["learners"]["count"]):
            federation.add_learner(learner)
        results = await federation.run()
        news = [event async for event in federation.events()]
        return results, (await federation.model()).weights, news


def mean_step(who: list[int]) -> float:
    """What a round of these learners adds to every weight."""
    return float(np.average(STEPS[who], weights=EXAMPLES[who]))


def silent(monkeypatch: pytest.MonkeyPatch, stage: str, learners: set[LearnerId], times: int = 1) -> None:
    """These learners give no answer at one stage of the dialogue, so many times each."""
    left = defaultdict(lambda: times)
    begin, hear = MaskedRounds.begin, MaskedRounds.hear

    def is_silent(rounds: MaskedRounds, said: Masking | None) -> bool:
        name = rounds._learner  # the test's own learner
        if said is None or said.stage != stage or name not in learners or not left[name]:
            return False
        left[name] -= 1
        return True

    def quiet_begin(self: MaskedRounds, task: str) -> Masking:
        said = begin(self, task)
        return Masking("a task of nobody", said.stage, said.body) if is_silent(self, said) else said

    def quiet_hear(self: MaskedRounds, said: Masking) -> Masking | None:
        answer = hear(self, said)
        return None if is_silent(self, answer) else answer

    monkeypatch.setattr(MaskedRounds, "begin", quiet_begin)
    monkeypatch.setattr(MaskedRounds, "hear", quiet_hear)


def kinds(news: list[Event]) -> list[str]:
    return [event.kind for event in news if event.kind.startswith("round_")]


# ------------------------------------------------------------------------------------------------------------ nobody drops out


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({}, {}),
        ({"bits": 64, "neighbours": 4}, {}),
        ({"hide_reports": True}, {}),
        ({}, {"protocol": {"name": "semi_synchronous", "options": {"min_updates": 4}}}),
    ],
)
async def test_the_mean_is_that_of_fedavg(options, more):
    results, weights, _ = await run(tables(2, options=options, **more))
    expected = 2 * mean_step([0, 1, 2, 3, 4])
    bits = options.get("bits", 32)
    bound = 2 * COUNT * 8.0 * 10_000 / (2 ** (bits - 1) // COUNT if bits == 32 else 2.0**52) / (2 * EXAMPLES.sum())
    assert np.abs(weights["b"] - 1 - expected).max() <= bound + 1e-12
    np.testing.assert_allclose(weights["w"], np.float32(expected), atol=bound + 1e-6)
    assert len(results.rounds) == 2
    hidden = bool(options.get("hide_reports"))
    parts = results.rounds[0].learners
    assert [parts[f"learner-{index}"].examples for index in range(COUNT)] == ([0] * COUNT if hidden else EXAMPLES.tolist())
    assert all(bool(part.train_metrics) != hidden for part in parts.values())


async def test_weighted_by_participants_everybody_counts_alike():
    _, weights, _ = await run(tables(1, aggregation={"weighting": "participants"}))
    np.testing.assert_allclose(weights["b"], 1 + STEPS.mean(), atol=1e-8)


async def test_the_controller_holds_nothing_but_masked_words_and_their_sum(monkeypatch):
    seen = []
    add = MaskedFold.add

    def watched(self, contribution):
        seen.append(contribution.buffer.copy())
        add(self, contribution)

    monkeypatch.setattr(MaskedFold, "add", watched)
    await run(tables(1))
    assert len(seen) == COUNT
    for buffer in seen:
        words = buffer[: 4 * 1605].view(np.uint32)
        assert len(np.unique(words)) > 1590, "each learner adds the same to every weight, and no two words are alike"
        assert abs(words.mean() / 2**31 - 1) < 0.05


# --------------------------------------------------------------------------------------------------- somebody does, at a stage


@pytest.mark.parametrize(("stage", "said"), [(KEYS, "it gave no keys in time"), (SHARES, "it gave no shares in time")])
async def test_who_does_not_answer_before_training_is_left_out_of_the_round(monkeypatch, stage, said):
    silent(monkeypatch, stage, {"learner-2"})
    results, weights, _ = await run(tables(2, options=HASTY))
    np.testing.assert_allclose(weights["b"], 1 + mean_step([0, 1, 3, 4]) + mean_step([0, 1, 2, 3, 4]), atol=1e-4)
    first, second = (record.learners["learner-2"] for record in results.rounds)
    assert first.refused == f"masking: masking: {said}"
    assert second.refused is None


class FailsOnce(Steady):
    """Learner 2's first training fails; by then its masks are in the others' updates."""

    trainings: Counter[int] = Counter()  # noqa: RUF012  # emptied by the test

    def train(self, weights, params):
        self.trainings[self.index] += 1
        if (self.index, self.trainings[self.index]) == (2, 1):
            raise ValueError("no data today")
        return super().train(weights, params)


async def test_the_masks_of_who_fails_to_train_are_taken_away():
    FailsOnce.trainings.clear()
    _, weights, _ = await run(tables(2), FailsOnce)
    np.testing.assert_allclose(weights["b"], 1 + mean_step([0, 1, 3, 4]) + mean_step([0, 1, 2, 3, 4]), atol=1e-4)


class Slow(Steady):
    """Learner 2 trains until the test lets it go."""

    go = threading.Event()

    def train(self, weights, params):
        if self.index == 2:
            self.go.wait(20)
        return super().train(weights, params)


async def test_who_is_too_late_to_deliver_is_taken_away():
    Slow.go.clear()
    protocol = {"name": "synchronous", "options": {"min_updates": 4, "round_timeout_s": 1.5}}
    _, weights, _ = await run(tables(1, protocol=protocol), Slow)
    Slow.go.set()
    np.testing.assert_allclose(weights["b"], 1 + mean_step([0, 1, 3, 4]), atol=1e-4)


async def test_who_leaves_while_others_train_is_taken_away():
    Slow.go.clear()
    config = tables(1)
    async with asyncio.timeout(60), Federation(config) as federation:
        for _ in range(COUNT):
            federation.add_learner(Slow)
        await federation.admin.order("start")
        accepted = 0
        async for event in federation.events():
            accepted += event.kind == "update_accepted"
            if event.kind == "update_accepted" and accepted == 4:
                federation._learners["learner-2"].cancel()  # it says goodbye
        Slow.go.set()
        weights = (await federation.model()).weights
    np.testing.assert_allclose(weights["b"], 1 + mean_step([0, 1, 3, 4]), atol=1e-4)


async def test_an_update_counts_whose_learner_does_not_help_to_unmask(monkeypatch):
    silent(monkeypatch, UNMASK, {"learner-2"}, times=2)
    _, weights, _ = await run(tables(2))
    np.testing.assert_allclose(weights["b"], 1 + 2 * mean_step([0, 1, 2, 3, 4]), atol=2e-4)


# --------------------------------------------------------------------------------------------------------- below the threshold


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (KEYS, "masking: 3 of 5 learners gave keys (learner-0, learner-1, learner-3), and 4 are needed"),
        (SHARES, "masking: 3 of 5 learners shared their secrets (learner-0, learner-1, learner-3), and 4 are needed"),
        (UNMASK, "masking: 3 of 5 learners delivered and are still here (learner-0, learner-1, learner-3), and 4 are needed"),
    ],
    ids=[KEYS, SHARES, UNMASK],
)
async def test_below_the_threshold_a_round_is_given_up_and_the_next_begins_from_the_same_version(monkeypatch, stage, said):
    silent(monkeypatch, stage, {"learner-2", "learner-4"})
    opened = []
    mean = MaskedFold.commit
    monkeypatch.setattr(MaskedFold, "commit", lambda self, current: opened.append(len(self.learners)) or mean(self, current))
    results, weights, news = await run(tables(2, options=HASTY))
    assert kinds(news)[:3] == ["round_began", "round_abandoned", "round_began"]
    began = [event.body for event in news if event.kind == "round_began"]
    assert [(body["round"], body["version"]) for body in began] == [(1, 0), (1, 0), (2, 1)]
    (given_up,) = (event.body["why"] for event in news if event.kind == "round_abandoned")
    assert said in given_up
    assert opened == [COUNT, COUNT], "no sum was opened but those of the rounds that were committed"
    assert len(results.rounds) == 2
    np.testing.assert_allclose(weights["b"], 1 + 2 * mean_step([0, 1, 2, 3, 4]), atol=2e-4)


async def test_a_federation_that_is_always_below_its_threshold_ends_with_the_reason(monkeypatch):
    silent(monkeypatch, UNMASK, {"learner-2", "learner-4"}, times=9)
    protocol = {"name": "synchronous", "options": {"min_updates": 4, "max_failed_rounds": 2}}
    with pytest.raises(FederationFailed, match=r"round 1 was abandoned 2 times in a row, each time: .*3 of 5 learners delivered"):
        await run(tables(2, protocol=protocol, options=HASTY))


# ------------------------------------------------------------------------------------------------------------ failures, restarts


def fail_once(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, at: int) -> Counter[str]:
    """Have the `at`-th call of a method raise; the calls are counted."""
    original, calls = getattr(owner, name), Counter[str]()

    @functools.wraps(original)
    def failing(*arguments: Any, **options: Any) -> Any:
        calls["all"] += 1
        if calls["all"] == at:
            raise RuntimeError("a bug")
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, failing)
    return calls


@pytest.mark.parametrize(
    ("owner", "name", "at"),
    [
        (MaskedRound, "heard", 7),
        (MaskedRound, "unmask", 1),
        (MaskedFold, "add", 8),
        (RoundsSchedule, "handle", 12),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
async def test_an_open_masked_round_begins_anew_after_a_failure_of(monkeypatch, owner, name, at):
    calls = fail_once(monkeypatch, owner, name, at)
    results, weights, _ = await run(tables(2))
    assert calls["all"] > at, "the failure was not the last call"
    assert [record.round for record in results.rounds] == [1, 2]
    np.testing.assert_allclose(weights["b"], 1 + 2 * mean_step([0, 1, 2, 3, 4]), atol=2e-4)


class Gated(Steady):
    """Learner 2 delivers nothing in round 2 until the test lets it go."""

    go = threading.Event()

    def train(self, weights, params):
        if self.index == 2 and params.round == 2:
            self.go.wait(20)
        return super().train(weights, params)


async def until_accepted(federation: Federation, round_: int, number: int) -> None:
    """Wait until so many updates count in a round."""
    accepted = 0
    async for event in federation.events():
        accepted += event.kind == "update_accepted" and event.body["round"] == round_
        if accepted == number:
            return


async def test_after_a_crash_of_the_controller_the_open_round_begins_anew(tmp_path):
    """Over real gRPC, with learners that outlive their controller: what had counted in the open round counts no more."""
    Gated.go.clear()
    config = tables(3, store={"url": f"file://{tmp_path / 'store'}"}, journal={"updates": True})
    place, opened = f"grpc://{tmp_path}/c.sock", Opened("masked", 3, {})
    transport = GrpcTransport()
    channels = [transport.connect(Address.parse(place)) for _ in range(COUNT)]
    clients = [
        LearnerClient(
            Gated(LearnerContext(f"learner-{index}", index, COUNT)),
            f"learner-{index}",
            channels[index],
            forms=configuration.known_forms(),
        )
        for index in range(COUNT)
    ]
    running = [asyncio.create_task(client.run()) for client in clients]
    async with asyncio.timeout(60):
        with suppress(ConnectionAbortedError), closing(FileJournal(tmp_path / "journal", opened)) as journal:
            async with Federation(config, addresses=[place], journal=journal) as federation:
                await federation.admin.order("start")
                await until_accepted(federation, 2, 4)
                raise ConnectionAbortedError  # the power fails
        with closing(FileJournal(tmp_path / "journal", opened, resume=True)) as journal:
            assert journal.story.counted == {}, "no update of the open round is said to count"
            Gated.go.set()
            async with Federation(config, addresses=[place], journal=journal) as federation:
                await until_accepted(federation, 2, COUNT)
                async for _ in federation.events():
                    pass
                weights = (await federation.model()).weights
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for channel in channels:
            await channel.close()
    np.testing.assert_allclose(weights["b"], 1 + 3 * mean_step([0, 1, 2, 3, 4]), atol=3e-4)


# -------------------------------------------------------------------------------------------------------------------- learners


class Untrue(Steady):
    """Counts more examples than a factor may be, or changes a weight by more than clip, or to nothing at all."""

    step: float = 0.0

    def train(self, weights, params):
        if self.index != 2:
            return super().train(weights, params)
        return {name: array + array.dtype.type(self.step) for name, array in weights.items()}, {"num_examples": self.examples}

    examples = 30


async def test_a_learner_whose_update_cannot_be_written_is_told_why():
    class TooMany(Untrue):
        examples = 10_001

    results, weights, _ = await run(tables(1), TooMany)
    assert "factor is 10001; masking takes whole numbers from 1 to factor_max = 10,000" in (
        results.rounds[0].learners["learner-2"].refused or ""
    )
    np.testing.assert_allclose(weights["b"], 1 + mean_step([0, 1, 3, 4]), atol=1e-4)


async def test_an_update_beyond_clip_counts_as_clip():
    class Wild(Untrue):
        step = 1e6

    _, weights, _ = await run(tables(1), Wild)
    steps = STEPS.copy()
    steps[2] = 8.0
    np.testing.assert_allclose(weights["b"], 1 + np.average(steps, weights=EXAMPLES), atol=1e-4)


async def test_a_model_with_whole_numbers_is_refused_with_the_remedy():
    class Counting(Steady):
        def get_weights(self):
            return {**super().get_weights(), "batches": np.zeros(1, np.int64)}

    with pytest.raises(FederationFailed, match=r"batches: int64\[1\] holds no floating-point numbers.*model.local"):
        await run(tables(1), Counting)


async def test_two_updates_never_leave_under_the_same_masks():
    """A task that is given again after its update left would otherwise tell the difference of two updates."""
    form = configuration.build_form(configuration.from_mapping(tables()))
    rounds = MaskedRounds("learner-0", form, get_logger("a learner"))
    rounds.begin("t")
    member = rounds._parts["t"].member
    member.state = next(state for state in type(member.state) if state.name == "DELIVERED")
    rounds._parts["t"].settled.set()
    with pytest.raises(LearnerFailed, match="another answer to this task left under the same masks"):
        await rounds.mask("t", None, None, None, None)  # type: ignore[arg-type]


async def test_a_controller_that_asks_for_both_secrets_is_not_answered(monkeypatch, caplog):
    """It asks once as it should, and once more with other survivors."""
    asked = Counter[str]()
    hear = MaskedRounds.hear

    def twice(self: MaskedRounds, said: Masking) -> Masking | None:
        answer = hear(self, said)
        if said.stage == UNMASK:
            lie = Masking(said.task, UNMASK, {"survivors": said.body["survivors"][:-1]})
            assert hear(self, lie) is None
            asked[self._learner] += 1
        return answer

    monkeypatch.setattr(MaskedRounds, "hear", twice)
    _, weights, _ = await run(tables(1))
    assert len(asked) >= 4
    np.testing.assert_allclose(weights["b"], 1 + mean_step([0, 1, 2, 3, 4]), atol=1e-4)


def test_a_member_is_made_for_each_task_and_forgotten_when_it_is_cancelled():
    form = configuration.build_form(configuration.from_mapping(tables()))
    rounds = MaskedRounds("learner-0", form, get_logger("a learner"))
    first, again, other = rounds.begin("a"), rounds.begin("a"), rounds.begin("b")
    assert first == again
    assert first.body != other.body
    rounds.drop("a")
    assert [said.task for said in rounds.again()] == ["b"]
    assert isinstance(rounds._parts["b"].member, Member)


@pytest.mark.parametrize("stage", [KEYS, SHARES, UNMASK])
async def test_what_a_lost_connection_swallows_is_said_again(monkeypatch, stage):
    """Learner 2 is cut off instead of being told; it comes back and goes on where the dialogue was."""
    say, cut = Line.say, []

    async def cut_once(self, message):
        if isinstance(message, Masking) and message.stage == stage and self._learner == "learner-2" and not cut:
            cut.append(message)
            self._session.cut("the cable is out")
            return
        await say(self, message)

    monkeypatch.setattr(Line, "say", cut_once)
    results, weights, _ = await run(tables(2, options={"threshold": 1.0}, protocol=EVERYBODY))
    assert len(cut) == 1
    assert all(len(record.learners) == COUNT for record in results.rounds)
    np.testing.assert_allclose(weights["b"], 1 + 2 * mean_step([0, 1, 2, 3, 4]), atol=2e-4)
