"""docs/operating.md is played: one run is watched, held and ended by the commands of the page, and told to other programs."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from fedactors.dashboard.where import HOST, METRICS_PORT
from tests.cli.steady import fedactors, said
from tests.docs.test_code_blocks import ROOT, blocks, words
from tests.e2e.support import environment, events, free_port, interrupt, started, wait_for, wait_for_event
from tests.observe.test_spans import collector, span_names

pytestmark = pytest.mark.e2e

PAGE = ROOT / "docs" / "operating.md"
OPERATING, COMPLETION, METRICS, CURVES, TRACKING, TRACES = [
    text.splitlines() for language, text in blocks(PAGE) if language == "bash"
]
STATUS, TOP, LOGS, PAUSE, RESUME, STOP = OPERATING
_, WITH_METRICS = METRICS
_, WITH_CURVES, SHOWS_CURVES = CURVES
_, WITH_FILES, WITH_SERVER = TRACKING
_, WITH_TRACES, WITH_COLLECTOR = TRACES
SCRAPING, SPANS = [text for language, text in blocks(PAGE) if language == "text"]

BIN = Path(sys.executable).parent
ENDLESS = ["--set", "learners.entry=line.py:Unhurried", "--set", "learners.count=1", "--set", "stop.rounds=100000"]
SHORT = ["--set", "learners.count=1", "--set", "stop.rounds=2", "--in-process", "--quiet"]


def options(line: str, instead: dict[str, str] | None = None) -> list[str]:
    """What a line adds to `fedactors up federation.toml`."""
    up, file, *more = words(line, instead)
    assert (up, file) == ("up", "federation.toml")
    return more


def test_a_run_is_watched_operated_and_told_to_other_programs(place, monkeypatch):
    """The commands of three sections start one run: what each adds to `fedactors up federation.toml` goes together."""
    run, metrics = place / "runs" / "line", f"{HOST}:{free_port()}"
    said("tokens", "add", "operator", "prometheus", "--role", "observer", "--output", "observer.token")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
    with collector(status=400) as (address, posted):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        guarded = {"--metrics": f"--metrics {metrics} --dashboard-tokens tokens.json"}
        outlets = [*options(WITH_CURVES), *options(WITH_METRICS, guarded), *options(WITH_TRACES)]
        with started("up", "federation.toml", *outlets, *ENDLESS, cwd=place, name="up") as process:
            wait_for_event(run, "round_ended")
            scraped_as_prometheus_would(metrics)
            with started(*words(LOGS), cwd=place, name="logs") as logs:
                watched_and_held(run)
                wait_for(lambda: "outlet_failed" in (place / "logs.out").read_text(), what="a line on the collector")
                assert said(*words(STOP)) == "line ends its open round, evaluates, and saves\n"
                assert process.wait(timeout=30) == 0
                assert logs.wait(timeout=10) == 0, "what follows a log ends with the run"
    shown, logged = (place / "up.out").read_text(), (place / "logs.out").read_text()
    assert "finished: stopped by the operator" in shown
    assert (run / "model.safetensors").exists()
    assert {line.split()[1] for line in logged.splitlines()} <= {"warning", "error", "critical"}
    assert (shown.count("outlet_failed"), logged.count("outlet_failed")) == (1, 1)
    assert len(posted) > 1, "a collector gets the next batch"
    names = {name for _, _, body in posted for name in span_names(body)}
    assert names == {line.strip("│├└─ ").partition("  ")[0] for line in SPANS.splitlines()}
    shown_by_tensorboard()


def scraped_as_prometheus_would(place: str) -> None:
    """By the configuration of the page; without its token, nothing is told."""
    (job,) = yaml.safe_load(SCRAPING)["scrape_configs"]
    ((target,),) = (static["targets"] for static in job["static_configs"])
    assert target.endswith(f":{METRICS_PORT}")
    assert f"`http://{HOST}:{METRICS_PORT}/metrics`" in PAGE.read_text(encoding="utf-8")
    url = f"http://{place}/metrics"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(url, timeout=10)
    token = Path(job["authorization"]["credentials_file"]).read_text().strip()
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {token}"})

    def rounds() -> float:
        with urllib.request.urlopen(request, timeout=10) as answer:
            figures = answer.read().decode()
        return float(re.search(r"^fedactors_rounds_total (\S+)$", figures, re.MULTILINE)[1])

    wait_for(lambda: rounds() >= 1, what="a round that is counted")


def watched_and_held(run: Path) -> None:
    """status, top until Ctrl-C, pause and resume."""
    (state, *_, where) = said(*words(STATUS)).splitlines()
    assert state.split() == ["line", "training"]
    address = where.split()[1]
    assert json.loads(said(*words(STATUS), "--json"))["addresses"][-1] == address
    assert said("status", "--address", address).splitlines()[-1] == where
    with on_a_terminal(*words(TOP)) as (process, seen):
        wait_for(lambda: "learner-0" in seen() and re.search(r"\d+/100000 rounds", seen()), what="the first screen")
        interrupt(process)
        assert process.wait(timeout=10) == 0
    assert said(*words(PAUSE)) == "line begins no further round until `fedactors resume`\n"
    wait_for(lambda: is_quiet(run), what="the end of all rounds")
    assert said(*words(STATUS)).splitlines()[0].split() == ["line", "paused,", "training"]
    held = len(events(run))
    assert said(*words(RESUME)) == "line goes on\n"
    wait_for(lambda: any(event["kind"] == "round_began" for event in events(run)[held:]), what="another round")


def is_quiet(run: Path) -> bool:
    """Nothing has happened for as long as several rounds take."""
    before = len(events(run))
    time.sleep(0.3)
    return len(events(run)) == before


@contextmanager
def on_a_terminal(*arguments: str):
    """A command line on a terminal of its own, and what it has shown so far."""
    ours, its = pty.openpty()
    os.set_blocking(ours, False)
    shown = bytearray()

    def seen() -> str:
        while chunk := read_now(ours):
            shown.extend(chunk)
        return shown.decode(errors="replace")

    command = [sys.executable, "-m", "fedactors", *arguments]
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment() | {"TERM": "xterm"})
    os.close(its)
    try:
        yield process, seen
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_now(terminal: int) -> bytes:
    """What there is to read; nothing where that is nothing, or nobody writes any more."""
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""


def shown_by_tensorboard() -> None:
    """The command of the page finds the curves."""
    program, *arguments = shlex.split(SHOWS_CURVES)
    port = free_port()
    with Path("tensorboard.out").open("w") as output:
        command = [BIN / program, *arguments, "--port", str(port)]
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment(), start_new_session=True)
        try:
            curves = wait_for(lambda: fetched(f"http://localhost:{port}/data/plugin/scalars/tags"), what="TensorBoard's answer")
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # with the reader of its data
            process.wait()
    assert "metrics/mse" in curves["."]


def fetched(url: str) -> dict:
    """JSON that is not empty; nothing until there is some."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)
    except OSError:
        return {}


def test_settings_curves_and_the_model_are_in_mlflow_s_files_and_spans_at_the_collector(place, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with collector() as (address, posted):
        both = [*options(WITH_FILES), *options(WITH_COLLECTOR, {"http://127.0.0.1:4318": address})]
        said("up", "federation.toml", *both, *SHORT)
    (run,) = (place / "runs").iterdir()
    from mlflow import MlflowClient  # two seconds, which a worker that collects this file need not spend

    client = MlflowClient(tracking_uri=(run / "mlruns").as_uri())
    (kept,) = client.search_runs([client.get_experiment_by_name("line").experiment_id])
    assert kept.data.params["train.learning_rate"] == "0.5"
    assert {"metrics/mse", "seconds/round"} <= set(kept.data.metrics)
    assert [file.path for file in client.list_artifacts(kept.info.run_id)] == ["model.safetensors"]
    assert sum(name == "round" for _, _, body in posted for name in span_names(body)) == 2


def test_a_tracking_server_that_nobody_runs_is_one_line_on_the_terminal_and_in_the_log(place, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # the first refusal is enough
    away = options(WITH_SERVER, {"mlflow.example.org:5000": f"{HOST}:{free_port()}"})
    done = fedactors("up", "federation.toml", *away, *SHORT, "--run-dir", "run")
    assert done.exit_code == 0
    assert done.stderr.count("outlet_failed") == 1
    assert said("logs", "run").count("outlet_failed") == 1


def test_the_shell_completes_verbs_and_options_after_the_line_of_the_page(tmp_path):
    (line,) = COMPLETION
    typed = [("fedactors pau", 1), ("fedactors status --js", 2)]
    asks = [
        f'COMP_WORDS=({text}) COMP_CWORD={at}; COMPREPLY=(); "$function" fedactors; echo "${{COMPREPLY[@]}}"'
        for text, at in typed
    ]
    function = "function=$(complete -p fedactors | sed -E 's/.*-F (\\w+) .*/\\1/')"
    path = {"PATH": os.pathsep.join([str(BIN), os.environ["PATH"]])}
    command = ["bash", "-euc", "\n".join([line, function, *asks])]
    done = subprocess.run(command, cwd=tmp_path, env=environment() | path, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.splitlines() == ["pause", "--json"]
