"""`fedactors tokens`: shown once, kept as a hash, taken back; and how a verb is given one."""

import json

import pytest

from fedactors.access.tokens import digest_of
from fedactors.cli.credentials import read_token
from fedactors.errors import ConfigError
from tests.cli.steady import fedactors, refused, said


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEDACTORS_TOKEN", raising=False)


def kept(path="tokens.json"):
    with open(path) as file:  # noqa: PTH123  # one line less
        return json.load(file)["tokens"]


def test_a_token_is_all_that_is_on_stdout_and_its_hash_all_that_is_kept():
    result = fedactors("tokens", "add", "learner", "anna")
    (token,) = result.stdout.splitlines()
    assert "it is shown this once" in result.stderr
    assert token not in result.stderr
    (entry,) = kept()
    assert (entry["role"], entry["name"], entry["sha256"]) == ("learner", "anna", digest_of(token))
    assert token not in json.dumps(entry)


def test_a_token_may_go_into_a_file_of_its_owner_s_which_is_not_written_over(tmp_path):
    said("tokens", "add", "operator", "olga", "--role", "observer", "--output", "olga.token")
    path = tmp_path / "olga.token"
    assert digest_of(read_token(path)) == kept()[0]["sha256"]
    assert (path.stat().st_mode & 0o777, kept()[0]["role"]) == (0o600, "observer")
    assert "name another file with --output" in refused(2, "tokens", "add", "operator", "olga", "--output", "olga.token")
    assert len(kept()) == 1


def test_the_list_shows_who_has_a_token_and_revoke_takes_it_back():
    said("tokens", "add", "learner", "anna")
    said("tokens", "add", "operator", "otto")
    _, anna, otto = said("tokens", "list").splitlines()
    assert (anna.split()[1:3], otto.split()[1:3]) == (["learner", "anna"], ["operator", "otto"])
    assert f"revoked the token {anna.split()[0]} of learner 'anna'" in said("tokens", "revoke", anna.split()[0])
    assert len(said("tokens", "list").splitlines()) == 2
    assert len(said("tokens", "list", "--all").splitlines()) == 3
    assert "holds no valid token of 'anna'; `fedactors tokens list" in refused(2, "tokens", "revoke", "anna")


def test_a_list_that_is_not_there_is_named_with_a_remedy():
    assert "there is no list of tokens other.json" in refused(2, "tokens", "list", "--file", "other.json")
    assert "begins one" in refused(2, "tokens", "revoke", "anna", "--file", "other.json")


def test_a_verb_takes_its_token_from_a_file_or_the_environment(tmp_path, monkeypatch):
    (tmp_path / "anna.token").write_text("fedactors_a\n")
    monkeypatch.setenv("FEDACTORS_TOKEN", "fedactors_b")
    assert read_token(tmp_path / "anna.token") == "fedactors_a"
    assert read_token(None) == "fedactors_b"
    monkeypatch.delenv("FEDACTORS_TOKEN")
    assert read_token(None) == ""


@pytest.mark.parametrize("held", ["", "two words", "schlüssel"])
def test_a_file_that_holds_no_token_is_named_and_not_shown(tmp_path, held):
    (tmp_path / "anna.token").write_text(held)
    with pytest.raises(ConfigError, match=r"anna\.token holds no token, which is one word: copy what") as caught:
        read_token(tmp_path / "anna.token")
    assert not held or held not in str(caught.value)


@pytest.mark.parametrize("verb", [["learner"], ["driver"], ["models", "ls"], ["models", "get"], ["models", "diff"]])
def test_every_verb_that_calls_a_controller_can_show_who_it_is(verb):
    told = said(*verb, "--help")
    for option in ("--ca", "--certificate", "--key", "--token-file", "--insecure", "FEDACTORS_TOKEN"):
        assert option in told
