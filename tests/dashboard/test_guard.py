from __future__ import annotations

import pytest

from fedactors.dashboard.guard import SESSION_S, SESSIONS_MAX, Guard, Role, is_from_page
from fedactors.dashboard.where import Where
from fedactors.errors import AddressError
from tests.dashboard.support import BOOK, LEARNER, NOW, OBSERVER, OPERATOR


@pytest.fixture
def guard():
    Time.now_s, Time.book = 0.0, BOOK
    return Guard(lambda: Time.book, clock=lambda: Time.now_s)


class Time:
    now_s = 0.0
    book = BOOK


@pytest.mark.parametrize("host", ["127.0.0.1:4460", "localhost:80", "[::1]:4460", "localhost", "127.8.8.8:1"])
def test_without_tokens_loopback_names_are_served(host):
    assert Guard(None).is_our_name(host)


@pytest.mark.parametrize("host", ["evil.example:4460", "", "127.0.0.1.evil.example:4460", "10.0.0.1:4460", "[::2]:1"])
def test_without_tokens_a_foreign_name_that_leads_here_is_not(host):
    assert not Guard(None).is_our_name(host)


def test_without_tokens_everybody_is_an_operator():
    session = Guard(None).session("")
    assert session is not None
    assert session.role is Role.OPERATOR


def test_a_token_gives_its_role_for_a_while(guard):
    for token, role in ((OPERATOR, Role.OPERATOR), (OBSERVER, Role.OBSERVER)):
        cookie = guard.log_in(token)
        assert guard.session(cookie).role is role
        Time.now_s += SESSION_S
        assert guard.session(cookie) is None


def test_a_wrong_token_gives_nothing(guard):
    assert guard.log_in("") is None
    assert guard.log_in(OPERATOR[:-1]) is None
    assert guard.session("") is None
    assert guard.session("made-up") is None


def test_who_has_logged_out_is_out(guard):
    cookie = guard.log_in(OPERATOR)
    guard.log_out(cookie)
    assert guard.session(cookie) is None


def test_sessions_are_bounded(guard):
    first, *_, last = [guard.log_in(OBSERVER) for _ in range(SESSIONS_MAX + 1)]
    assert guard.session(first) is None
    assert guard.session(last) is not None


def test_a_program_shows_its_token_and_can_only_look(guard):
    assert guard.session("", f"Bearer {OPERATOR}").role is Role.OBSERVER
    assert guard.session("", "Bearer wrong") is None


def test_an_order_comes_from_our_own_page_alone(guard):
    session = guard.session(guard.log_in(OPERATOR))
    assert is_from_page(session, "here:1", "http://here:1", session.word)
    assert not is_from_page(session, "here:1", "http://there:1", session.word)
    assert not is_from_page(session, "here:1", "", session.word)
    assert not is_from_page(session, "", "", session.word)
    assert not is_from_page(session, "here:1", "http://here:1", "")
    bearer = guard.session("", f"Bearer {OPERATOR}")
    assert not is_from_page(bearer, "here:1", "http://here:1", bearer.word)


def test_who_has_a_learner_s_token_or_a_revoked_one_is_nobody(guard):
    assert guard.log_in(LEARNER) is None
    cookie = guard.log_in(OPERATOR)
    Time.book, _ = BOOK.revoke("olga", NOW)
    assert guard.session(cookie) is None
    assert guard.log_in(OPERATOR) is None


def test_a_place_is_read():
    assert (Where.parse("").host, Where.parse("").port) == ("127.0.0.1", 4460)
    assert (Where.parse("0").host, Where.parse("0").port) == ("127.0.0.1", 0)
    assert (Where.parse("[::1]:80").host, Where.parse("[::1]:80").port) == ("::1", 80)


@pytest.mark.parametrize("text", ["federation.toml", "localhost:", "localhost:x", "127.0.0.1:70000", ":80"])
def test_a_place_that_is_none_is_refused(text):
    with pytest.raises(AddressError, match="is no place to serve a page at"):
        Where.parse(text)


@pytest.mark.parametrize("text", ["0.0.0.0:4460", "[::]:4460", "example.org:4460"])
def test_a_place_that_others_can_reach_needs_a_token(tmp_path, text):
    with pytest.raises(AddressError, match="--dashboard-tokens"):
        Where.parse(text)
    assert Where.parse(text, tmp_path).tokens == tmp_path
