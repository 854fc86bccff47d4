"""The session's table: two sides that follow it always agree, and whoever leaves it is told so."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fedactors.errors import LocalProtocolError, RemoteProtocolError
from fedactors.protocol import Cancel, Evaluated, Goodbye, GoodbyeReason, Heartbeat, Hello, Masking, Task, TaskFailure, Welcome
from fedactors.protocol.states import NEXT, Role, State, after_receiving, after_sending, has_said_goodbye
from fedactors.task import EvaluationReport, TaskKind

MESSAGES = {
    type(message): message
    for message in (
        Hello("a"), Heartbeat(), Evaluated("t", EvaluationReport(1)), TaskFailure("t", "why"), Goodbye(GoodbyeReason.LEFT),
        Welcome(b"", 1, 2, 3), Task("t", TaskKind.INITIALISE), Cancel("t"), Masking("t", "keys", {}),
    )
}  # fmt: skip


class BackToBack(RuleBasedStateMachine):
    """Two sides and the wires between them, on which messages may cross."""

    def __init__(self):
        super().__init__()
        self.state = dict.fromkeys(Role, State.OPENED)
        self.wire = {role: [] for role in Role}

    @rule(role=st.sampled_from(Role), pick=st.integers(0, 9))
    def say(self, role, pick):
        allowed = list(NEXT.get((self.state[role], role), {}))
        if allowed:
            message = MESSAGES[allowed[pick % len(allowed)]]
            self.state[role] = after_sending(self.state[role], role, message)
            self.wire[role].append(message)

    @precondition(lambda self: any(self.wire.values()))
    @rule(role=st.sampled_from(Role))
    def arrive(self, role):
        if self.wire[role]:
            self.state[role.other] = after_receiving(self.state[role.other], role, self.wire[role].pop(0))

    @invariant()
    def both_agree_once_the_wires_are_empty(self):
        if not any(self.wire.values()):
            assert self.state[Role.LEARNER] is self.state[Role.CONTROLLER]

    @invariant()
    def whoever_has_said_goodbye_says_no_more(self):
        for role in Role:
            if has_said_goodbye(self.state[role], role):
                assert (self.state[role], role) not in NEXT

    def teardown(self):
        for role in (*Role, *Role):
            while self.wire[role]:
                self.arrive_all(role)
        self.both_agree_once_the_wires_are_empty()

    def arrive_all(self, role):
        self.state[role.other] = after_receiving(self.state[role.other], role, self.wire[role].pop(0))


TestBackToBack = BackToBack.TestCase
TestBackToBack.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("kind", MESSAGES)
def test_what_is_not_in_the_table_is_refused_and_the_culprit_is_named(state, role, kind):
    if kind in NEXT.get((state, role), {}):
        return
    with pytest.raises(LocalProtocolError, match=f"{kind.__name__} from the {role} in a session that is {state}"):
        after_sending(state, role, MESSAGES[kind])
    with pytest.raises(RemoteProtocolError, match=f"{kind.__name__} from the {role} in a session that is {state}"):
        after_receiving(state, role, MESSAGES[kind])


def test_the_story_of_a_session():
    state = State.OPENED
    for role, kind in [("learner", Hello), ("controller", Welcome), ("controller", Task), ("learner", Evaluated)]:
        state = after_sending(state, Role(role), MESSAGES[kind])
    assert state is State.ACTIVE
    state = after_sending(state, Role.LEARNER, MESSAGES[Goodbye])
    assert state is State.LEARNER_DONE
    assert after_sending(state, Role.CONTROLLER, MESSAGES[Task]) is State.LEARNER_DONE
    assert after_sending(state, Role.CONTROLLER, MESSAGES[Goodbye]) is State.CLOSED


def test_a_learner_that_is_refused_has_nothing_more_to_say():
    state = after_sending(State.GREETED, Role.CONTROLLER, Goodbye(GoodbyeReason.REFUSED, "full"))
    assert state is State.CLOSED
    with pytest.raises(LocalProtocolError, match="allowed is nothing"):
        after_sending(state, Role.LEARNER, Heartbeat())
