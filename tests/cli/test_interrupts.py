"""Ctrl-C against a real process: once, twice, and when a clean stop is not possible."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fedactors.cli.run import Interrupts

PROGRAM = """
import asyncio, sys
import click
from fedactors.cli.run import run
from fedactors.config.tables import RuntimeTable

async def body(interrupts):
    over = asyncio.Event()
    async def stop():
        if {fails}:
            raise RuntimeError("the controller is gone")
        if {obeys}:
            over.set()
    if not {late}:
        interrupts.then(stop)
    print("ready", flush=True)
    try:
        if {late}:
            while not interrupts.asked:
                await asyncio.sleep(0.01)
            interrupts.then(stop)
        await over.wait()
        return "ended"
    finally:
        print("cleaned up", flush=True)

@click.command()
def main():
    outcome = run(body, RuntimeTable(uvloop={uvloop}))
    print(outcome.value, outcome.interrupted)

main()
"""


@contextmanager
def program(
    *, obeys: bool = True, fails: bool = False, late: bool = False, uvloop: bool = True
) -> Iterator[subprocess.Popen[str]]:
    code = PROGRAM.format(obeys=obeys, fails=fails, late=late, uvloop=uvloop)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], text=True, **pipes) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline().strip()


@pytest.mark.parametrize("uvloop", [True, False])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_once_ends_cleanly(number: signal.Signals, uvloop: bool) -> None:
    with program(uvloop=uvloop) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert out == "cleaned up\nended True\n"
    assert err == "stopping; Ctrl-C again stops at once\n"
    assert process.returncode == 0


@pytest.mark.parametrize("uvloop", [True, False])
def test_twice_stops_at_once_and_still_cleans_up(uvloop: bool) -> None:
    with program(obeys=False, uvloop=uvloop) as process:
        process.send_signal(signal.SIGINT)
        assert said(process) == "stopping; Ctrl-C again stops at once"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (out, err, process.returncode) == ("cleaned up\n", "", 130)


def test_once_before_there_is_anything_to_stop_is_remembered() -> None:
    with program(late=True) as process:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert (out, process.returncode) == ("cleaned up\nended True\n", 0)


def test_a_clean_stop_that_fails_becomes_a_stop_at_once() -> None:
    with program(fails=True) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (out, process.returncode) == ("cleaned up\n", 130)
    assert "cannot stop cleanly: the controller is gone" in err
    assert "Traceback" not in err


def test_what_is_said_goes_to_the_stderr_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    live_display = io.StringIO()
    monkeypatch.setattr(sys, "stderr", live_display)
    interrupts = Interrupts("finishing")
    interrupts._interrupted()
    assert interrupts.asked
    assert live_display.getvalue() == "finishing\n"
