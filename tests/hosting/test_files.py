"""The federations that a directory holds."""

from __future__ import annotations

import pytest

from fedactors.errors import ConfigError
from fedactors.hosting import files
from fedactors.hosting.files import find, name_of, write


def accept(_):
    """Every configuration is well."""


def test_each_file_and_each_directory_with_a_configuration_is_a_federation(tmp_path):
    (tmp_path / "b.toml").touch()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "federation.toml").touch()
    for other in ("notes.txt", ".hidden.toml", "c.yaml"):
        (tmp_path / other).touch()
    (tmp_path / "data").mkdir()
    found = find(tmp_path)
    assert [(one.name, one.file.relative_to(tmp_path).as_posix(), one.problem) for one in found] == [
        ("a", "a/federation.toml", ""),
        ("b", "b.toml", ""),
    ]


def test_two_of_one_name_and_one_that_names_no_directory_are_told_of_each_by_itself(tmp_path):
    (tmp_path / "a.toml").touch()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "federation.toml").touch()
    (tmp_path / "my own.toml").touch()
    (tmp_path / "z.toml").touch()
    problems = {one.name: one.problem for one in find(tmp_path)}
    assert "have the same name; rename one of them" in problems["a"]
    assert problems["my own"].startswith("'my own' cannot name a directory")
    assert problems["z"] == ""


def test_a_directory_that_is_none_and_one_with_too_many_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory; name the one that holds"):
        find(tmp_path / "nowhere")
    monkeypatch.setattr(files, "FEDERATIONS_MAX", 1)
    for name in "ab":
        (tmp_path / f"{name}.toml").touch()
    with pytest.raises(ConfigError, match="holds 2 federations, more than 1; "):
        find(tmp_path)


def test_a_configuration_is_written_under_its_name_once_it_was_checked(tmp_path):
    def refuse(file):
        assert file.read_text() == "no"
        raise ConfigError("not so")

    assert write(tmp_path, "a", "seed = 1", accept).read_text() == "seed = 1"
    with pytest.raises(ConfigError, match="not so"):
        write(tmp_path, "b", "no", refuse)
    assert [path.name for path in tmp_path.iterdir()] == ["a.toml"]


def test_one_that_is_there_stays_unless_it_says_the_same_or_may_be_replaced(tmp_path):
    (tmp_path / "a").mkdir()
    there = tmp_path / "a" / "federation.toml"
    there.write_text("seed = 1")
    assert write(tmp_path, "a", "seed = 1", accept) == there
    with pytest.raises(ConfigError, match="says otherwise of it; add this one under another name"):
        write(tmp_path, "a", "seed = 2", accept)
    assert there.read_text() == "seed = 1"
    assert write(tmp_path, "a", "seed = 2", accept, replaces=True).read_text() == "seed = 2"


@pytest.mark.parametrize("name", ["", "..", "../up", "a/b", ".a", "a b", "a" * 65, "a\n"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="cannot name a directory"):
        write(tmp_path, name, "seed = 1", accept)
    assert not list(tmp_path.iterdir())


def test_a_configuration_that_is_too_long_and_a_directory_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="more than 1,048,576 bytes; is it the right file"):
        write(tmp_path, "a", "#" * (files.TOML_BYTES_MAX + 1), accept)
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        write(tmp_path / "nowhere", "a", "seed = 1", accept)


def test_a_federation_is_named_by_its_file_or_by_its_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert name_of(tmp_path / "digits.toml") == "digits"
    assert name_of(tmp_path / "digits" / "federation.toml") == "digits"
    assert name_of(tmp_path.relative_to(tmp_path) / "federation.toml") == tmp_path.name
