"""Roles: who may call what, and whose certificate it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedactors.access.callers import LOCAL, METHODS, Caller, Means, Role, from_uri, uri_of
from fedactors.access.guard import Denial, Policy, decide
from fedactors.access.tokens import TokenBook, new_token
from fedactors.protocol import (
    ADD_FEDERATION,
    DOWNLOAD,
    FETCH,
    GET_STATUS,
    LIST_FEDERATIONS,
    LIST_VERSIONS,
    ORDER,
    PUSH,
    SESSION,
    SHIP,
    STOP_FEDERATION,
    WATCH,
)
from tests.access.test_tokens import NOW

LOOKS = {GET_STATUS, WATCH, LIST_VERSIONS, DOWNLOAD, LIST_FEDERATIONS}
ORDERS = {ORDER, SHIP, ADD_FEDERATION, STOP_FEDERATION}
EVERY = {SESSION, FETCH, PUSH} | LOOKS | ORDERS
MAY = {
    Role.LEARNER: {SESSION, FETCH, PUSH},
    Role.OBSERVER: LOOKS,
    Role.OPERATOR: LOOKS | ORDERS,
    Role.LOCAL: EVERY,
}
names = st.text(min_size=1, max_size=60)
BY_TOKEN = Policy(Means.TOKEN, Means.TOKEN)


@pytest.mark.parametrize("role", Role)
def test_a_role_may_call_its_methods_and_no_other(role):
    caller = Caller(role, "x", "token")
    assert {method for method in EVERY | {"/other"} if caller.may_call(method)} == MAY[role]


def test_every_method_of_every_service_is_somebody_s():
    assert frozenset().union(*METHODS.values()) == EVERY


@given(st.sampled_from([Role.LEARNER, Role.OBSERVER, Role.OPERATOR]), names)
def test_a_certificate_s_uri_says_whose_it_is(role, name):
    uri = uri_of(role, name)
    assert uri.isascii()
    assert from_uri(uri) == Caller(role, name, "certificate")


@pytest.mark.parametrize(
    "uri",
    ["", "fedactors://", "fedactors://learner/", "fedactors://local/x", "fedactors://admin/x", "spiffe://learner/x", "learner/x"],
)
def test_another_uri_is_nobody_s(uri):
    assert from_uri(uri) is None


@given(names, names)
def test_a_learner_may_be_itself_alone(name, other):
    assert Caller(Role.LEARNER, name, "token").may_be(other) is (name == other)


def test_who_is_local_or_asked_for_nothing_may_be_any_learner():
    assert LOCAL.may_be("anna")
    assert Caller(Role.LEARNER, "", Means.OPEN).may_be("anna")
    assert not Caller(Role.OPERATOR, "anna", "token").may_be("anna")


def decided(policy, method, token="", identity="", role=Role.LEARNER):
    book = TokenBook().add(role, "anna", "known", NOW)
    return decide(policy, book, method, token, identity)


@given(st.sampled_from(sorted(EVERY)), st.text(max_size=300))
def test_no_token_but_the_known_one_opens_anything(method, guess):
    decision = decided(BY_TOKEN, method, guess)
    assert isinstance(decision, Caller) is (guess == "known" and method in MAY[Role.LEARNER])
    assert not isinstance(decision, Denial) or len(guess) < 8 or guess not in decision.said + decision.why


def test_a_certificate_is_no_token_and_a_token_no_certificate():
    uri = uri_of(Role.LEARNER, "anna")
    assert isinstance(decided(BY_TOKEN, SESSION, identity=uri), Denial)
    assert isinstance(decided(Policy(Means.CERTIFICATE, Means.CERTIFICATE), SESSION, "known"), Denial)
    assert decided(Policy(Means.CERTIFICATE), SESSION, identity=uri) == Caller(Role.LEARNER, "anna", "certificate")


def test_the_refusal_is_the_same_whatever_is_wrong_with_a_token_and_the_audit_log_knows():
    book = TokenBook().add(Role.LEARNER, "anna", "known", NOW)
    book, _ = book.revoke("anna", NOW)
    denials = [decide(BY_TOKEN, book, SESSION, token, "") for token in ("", new_token(), "known")]
    assert len({denial.said for denial in denials}) == 1
    assert [denial.why.partition(" ")[0] for denial in denials] == ["no", "an", "the"]
