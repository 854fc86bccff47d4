"""Tokens: what is kept of them, on disk too, and what is not."""

import json
import threading
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedactors.access.callers import Role
from fedactors.access.token_file import TokenFile, change, read
from fedactors.access.tokens import PREFIX, Entry, TokenBook, digest_of, new_token, read_book
from fedactors.errors import ConfigError

NOW = datetime(2026, 1, 2, tzinfo=UTC)

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
entries = st.builds(
    Entry,
    st.sampled_from([Role.LEARNER, Role.OBSERVER, Role.OPERATOR]),
    words,
    st.binary(max_size=9).map(lambda secret: digest_of(secret.hex())),
    st.just(NOW.isoformat()),
    st.none() | st.just(NOW.isoformat()),
)
books = st.lists(entries, max_size=6).map(tuple).map(TokenBook)


def test_a_token_has_256_random_bits_behind_a_word_that_scanners_find():
    one, another = new_token(), new_token()
    assert one != another
    assert one.startswith(PREFIX)
    assert len(one) == len(PREFIX) + 43  # base64 of 32 bytes


@given(books)
def test_a_list_of_tokens_comes_back_as_it_was_written(book):
    assert read_book(json.loads(json.dumps(book.to_map()))) == book


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_anything_is_a_list_of_tokens_or_refused(written):
    for given_ in (written, {"format": 1, "tokens": written}, {"format": 1, "tokens": [written]}):
        with suppress(ConfigError):
            assert isinstance(read_book(given_), TokenBook)


@pytest.mark.parametrize("role", ["local", "admin", ""])
def test_no_token_makes_anybody_local(role):
    entry = {"role": role, "name": "x", "sha256": "0" * 64, "added": ""}
    with pytest.raises(ConfigError, match="role of learner, observer, operator"):
        read_book({"format": 1, "tokens": [entry]})


def test_a_token_is_found_until_it_is_revoked_by_its_id_or_its_owner():
    book = (
        TokenBook().add(Role.LEARNER, "anna", "a", NOW).add(Role.LEARNER, "anna", "b", NOW).add(Role.OPERATOR, "otto", "c", NOW)
    )
    assert book.find("b").name == "anna"
    one, revoked = book.revoke(digest_of("a")[:8], NOW)
    assert [entry.sha256 for entry in revoked] == [digest_of("a")]
    assert (one.find("a").revoked, one.find("b").revoked) == (NOW.isoformat(), None)
    both, revoked = book.revoke("anna", NOW)
    assert len(revoked) == 2
    assert both.revoke("anna", NOW) == (both, [])
    assert both.find("c").revoked is None


def test_the_list_holds_no_token_and_is_its_owner_s_alone(tmp_path):
    path, token = tmp_path / "tokens.json", new_token()
    change(path, lambda book: (book.add(Role.LEARNER, "anna", token, NOW), None))
    assert token not in path.read_text()
    assert token.removeprefix(PREFIX) not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_those_who_change_the_list_at_the_same_time_lose_nothing_of_each_other(tmp_path):
    path = tmp_path / "tokens.json"

    def add(name):
        change(path, lambda book: (book.add(Role.LEARNER, name, new_token(), NOW), None))

    threads = [threading.Thread(target=add, args=(f"learner-{number}",)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {entry.name for entry in read(path).entries} == {f"learner-{number}" for number in range(12)}


def test_a_list_that_changes_is_taken_and_one_that_cannot_be_read_is_not(tmp_path, caplog):
    path = tmp_path / "tokens.json"
    change(path, lambda book: (book.add(Role.LEARNER, "anna", "a", NOW), None))
    file = TokenFile(path)
    assert file.book.find("a").revoked is None
    change(path, lambda book: book.revoke("anna", NOW))
    assert file.book.find("a").revoked is not None
    path.write_text("{")
    assert file.book.find("a").revoked is not None
    assert "tokens_not_taken" in caplog.text


@pytest.mark.parametrize(
    ("text", "said"), [(None, "there is no list of tokens"), ("{", "cannot be read"), ("[]", "no list of tokens")]
)
def test_a_list_that_is_none_is_named_with_a_remedy(tmp_path, text, said):
    path = tmp_path / "tokens.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        TokenFile(path)
    assert str(path) in str(caught.value)
