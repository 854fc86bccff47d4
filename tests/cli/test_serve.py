"""`fedactors serve` where there is little to serve; with learners it is played by docs/many-federations.md and in tests/e2e."""

from __future__ import annotations

import pytest

from fedactors.cli.exit_codes import ExitCode
from tests.cli.steady import fedactors, refused, said


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "federations").mkdir()
    return tmp_path / "federations"


def test_when_none_can_be_served_the_table_says_why_and_the_exit_code_is_that_of_a_failure(folder):
    (folder / "a.toml").write_text("stop.roundz = 1")
    (folder / "b b.toml").touch()
    result = fedactors("serve", "federations", "--quiet")
    assert result.exit_code == 1
    assert "a           failed       0         0  federations/a.toml:1: [stop] has no key 'roundz'" in result.stdout
    assert "b b         failed       0         0  'b b' cannot name a directory" in result.stdout
    assert not (folder.parent / "runs" / "b b").exists()


def test_an_empty_directory_is_served_at_once(folder):
    assert said("serve", "federations") == "there is no federation\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "the directory nowhere cannot be read"),
        (["federations", "--admin", "grpc://0.0.0.0:0"], "can be reached from other machines"),
        (["federations", "--admin", "grpc://127.0.0.1:0", "--admin-tokens", "none.json"], "there is no list of tokens"),
    ],
)
def test_what_cannot_be_served_is_one_line(folder, arguments, message):
    assert message in refused(2, "serve", *arguments)


def test_figures_are_not_served_to_other_machines_without_tokens(folder):
    assert "have them log in by --admin-tokens FILE, or serve it at 127.0.0.1:0" in refused(
        ExitCode.UNREACHABLE, "serve", "federations", "--metrics", "0.0.0.0:0"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serve", "federations", "--memory-bytes", "1"], "1 is not in the range x>=2"),
        (["serve", "federations", "--threads", "0"], "0 is not in the range 1<=x<=1024"),
        (["federations", "ls"], "Missing option '--address'"),
        (["federations", "stop", "a"], "Missing option '--address'"),
    ],
)
def test_a_command_that_is_none_is_told_so(folder, monkeypatch, arguments, message):
    monkeypatch.delenv("FEDACTORS_SERVE", raising=False)
    result = fedactors(*arguments)
    assert (result.exit_code, message in result.stderr) == (2, True)


def test_a_configuration_that_cannot_be_read_is_not_sent(folder):
    assert "cannot be read" in refused(2, "federations", "add", "nowhere.toml", "--address", "grpc://127.0.0.1:1")
