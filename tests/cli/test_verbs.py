from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from fedactors import errors, plugins
from fedactors.cli import group, main
from fedactors.cli.exit_codes import MEANINGS, ExitCode

VERBS = ("new", "check", "up", "controller", "learner", "relay", "driver")


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert "Traceback" not in result.output or "--debug" in arguments
    return result


@pytest.fixture
def federation(tmp_path: Path) -> Path:
    (tmp_path / "learner.py").write_text("class Mine: pass")
    path = tmp_path / "federation.toml"
    path.write_text('name = "digits"\nseed = 7\n[learners]\nentry = "learner.py:Mine"\ncount = 3\n[train]\nmomentum = 0.9\n')
    return path


def test_help_lists_every_verb_and_exit_code() -> None:
    result = run("--help")
    assert result.exit_code == 0
    places = [result.output.index(f"\n  {verb} ") for verb in VERBS]
    assert places == sorted(places)
    for code, meaning in MEANINGS.items():
        assert f"{code:<3}  {meaning}" in result.output
    assert set(MEANINGS) == set(ExitCode)


@pytest.mark.parametrize("verb", [point.name for point in entry_points(group="fedactors.cli")])
def test_every_verb_has_help(verb: str) -> None:
    result = run(verb, "--help")
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")


def test_help_imports_nothing_heavy() -> None:
    heavy = ["grpc", "google.protobuf", "numpy", "pydantic", "rich", "structlog", "yaml", "tomlkit", "asyncio", "uvloop"]
    code = f"""if True:
        import sys
        from fedactors.cli import main
        main(["--help"], standalone_mode=False)
        print([name for name in {heavy} if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_version_is_the_packages() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.output.startswith("fedactors 0.")


def test_a_misspelt_verb_is_one_line_with_the_nearest() -> None:
    result = run("chek")
    assert result.exit_code == 2
    known = ", ".join([*VERBS, *sorted({point.name for point in entry_points(group="fedactors.cli")} - {*VERBS})])
    assert result.stderr.splitlines() == [f"error: no verb named 'chek'; did you mean 'check'? (known: {known})"]


def test_a_misspelt_option_is_a_usage_error() -> None:
    assert run("check", "x.toml", "--sett", "a=1").exit_code == 2


def test_check_shows_what_would_run(federation: Path) -> None:
    result = run("check", str(federation), "--set", "stop.rounds=4")
    assert result.exit_code == 0
    for part in ("digits  (seed 7)", "3, at least 3  (learner.py:Mine)", "synchronous", "fedavg", "momentum = 0.9", "rounds = 4"):
        assert part in result.stdout
    assert result.stdout.splitlines()[-1] == f"{federation} is well"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("aggregation.rule=fedavgg", "--set aggregation.rule: no aggregation rule named 'fedavgg'; did you mean 'fedavg'?"),
        ("learners.entry=learner.py:Mien", "learner.py has no 'Mien'; did you mean 'Mine'?"),
        ("learners.entry=lerner.py:Mine", "lerner.py; did you mean 'learner.py'?"),
        ("initial=file:none.safetensors", "none.safetensors, but there is no such file"),
    ],
)
def test_check_says_what_is_wrong_in_one_line(federation: Path, override: str, said: str) -> None:
    result = run("check", str(federation), "--set", override)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("error: ")
    assert said in result.stderr


def test_check_finds_code_that_raises(federation: Path) -> None:
    (federation.parent / "raises.py").write_text("1 / 0")
    result = run("check", str(federation), "--set", "learners.entry=raises.py:Mine")
    assert result.exit_code == 4
    assert "ZeroDivisionError: division by zero (raises.py:1" in result.stderr


def test_a_learner_needs_a_file_or_its_code() -> None:
    result = run("learner", "--address", "grpc://127.0.0.1:1")
    assert result.exit_code == 2
    assert "--entry" in result.stderr


def test_a_learner_that_cannot_be_made_is_one_line(federation: Path) -> None:
    (federation.parent / "raises.py").write_text("def make(context):\n    raise ValueError('no data')")
    result = run("learner", str(federation), "--entry", "raises.py:make", "--address", "grpc:///nowhere.sock")
    assert result.exit_code == 4
    assert "ValueError: no data (raises.py:2 in make)" in result.stderr


def test_an_address_on_the_command_line_is_checked_like_a_configured_one(federation: Path) -> None:
    result = run("controller", str(federation), "--address", "grpc://0.0.0.0:4450")
    assert result.exit_code == 2
    assert "insecure = true" in result.stderr


def test_up_without_a_learners_file_leaves_no_run_directory(federation: Path) -> None:
    directory = federation.parent / "run"
    result = run("up", str(federation), "--set", "learners.entry=lerner.py:Mine", "--run-dir", str(directory))
    assert result.exit_code == 2
    assert not directory.exists()


# ---------------------------------------------------------------------------------------------------------------------- errors


def verb_that_raises(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    from fedactors.cli import options

    @click.command()
    @options.debug
    def failing() -> None:
        raise error

    monkeypatch.setattr(group.plugins, "load", lambda _group, _name: failing)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (errors.ConfigError("no such key"), 2, "error: no such key"),
        (errors.ExtraMissing("store 'redis'", "redis", "redis"), 2, "error: store 'redis' needs the package 'redis', which is"),
        (errors.AddressError("the port is in use"), 3, "error: the port is in use"),
        (errors.Unreachable("nobody answers"), 3, "error: nobody answers"),
        (errors.LearnerFailed("ValueError: no\ndata"), 4, "error: ValueError: no data"),
        (errors.FederationFailed("nobody is left"), 1, "error: nobody is left"),
        (errors.StoreError("the disk is full"), 1, "error: the disk is full"),
        (PermissionError(13, "Permission denied", "runs"), 1, "error: [Errno 13] Permission denied: 'runs'"),
        (
            ZeroDivisionError("division by zero"),
            70,
            "error: ZeroDivisionError: division by zero (this is a bug in fedactors; --d",
        ),
        (ExceptionGroup("several", [ValueError("x"), errors.LearnerFailed("the cause")]), 4, "error: the cause"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    verb_that_raises(monkeypatch, error)
    result = run("failing")
    assert result.exit_code == code
    assert result.stderr.startswith(said)
    assert len(result.stderr.splitlines()) == (1 if said else 0)


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    verb_that_raises(monkeypatch, errors.ConfigError("no such key"))
    result = run("failing", "--debug")
    assert result.exit_code == 2
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.splitlines()[-1] == "error: no such key"


def test_a_strangers_broken_verb_is_listed_and_fails_only_when_called(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"check": "fedactors.cli.check:check", "broken": "no_such.module:x"}
    known = EntryPoints(EntryPoint(name, value, group.GROUP) for name, value in values.items())
    monkeypatch.setattr(plugins, "entry_points", lambda **wanted: known.select(**wanted))
    assert "broken  (cannot be loaded)" in run("--help").output
    result = run("broken", "--some", "option")
    assert result.exit_code == 2
    assert "verb 'broken'" in result.stderr


# -------------------------------------------------------------------------------------------------------------------- processes


def test_the_exit_code_reaches_the_shell(tmp_path: Path) -> None:
    (tmp_path / "federation.toml").write_text("[stop]\nronds = 3\n")
    command = [sys.executable, "-m", "fedactors", "check", "federation.toml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    known = "rounds, updates, duration_s, metric"
    assert done.stderr == f"error: federation.toml:2: [stop] has no key 'ronds'; did you mean 'rounds'? (known: {known})\n"
