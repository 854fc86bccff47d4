"""What is killed, and what goes on: SIGKILL of a learner, of the driver and of everything at once."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from tests.e2e import support

pytestmark = pytest.mark.e2e

SLOW = support.CONFIG.replace("    ", "").replace("rounds = 3", "rounds = 12") + "[learners.options]\nsleep_s = 0.3\n"


def pid_of(process, learner: str) -> int:
    """The process of one learner."""
    (pid,) = [child.pid for child in support.children(process) if learner in child.cmdline()]
    return pid


def test_a_killed_learner_is_left_out_and_takes_part_again_when_it_is_back(tmp_path):
    path = support.project(tmp_path, SLOW.replace("rounds = 12", "rounds = 200"))
    run = tmp_path / "run"
    arguments = ["up", path, "--run-dir", "run", "--set", f"controller.address=grpc://{tmp_path}/fed.sock"]
    with support.started(*arguments, cwd=tmp_path) as process:
        support.wait_for_event(run, "round_committed", round=1)
        os.kill(pid_of(process, "learner-1"), signal.SIGKILL)
        killed = len(support.events(run))
        lost = support.wait_for_event(run, "learner_departed", learner="learner-1")
        assert lost["how"] == "lost"
        support.wait_for(lambda: [e for e in support.events(run)[killed:] if e["kind"] == "round_committed"], what="a commit")
        place = ["--address", f"grpc://{tmp_path}/fed.sock", "--id", "learner-1", "--index", "1"]
        with support.started("learner", run / "config.toml", *place, cwd=tmp_path, name="learner-1") as learner:
            back = support.wait_for(
                lambda: [e for e in support.events(run) if e["kind"] == "learner_joined"][3:], what="a rejoin"
            )
            assert back[0]["learner"] == "learner-1"
            number = back[0]["number"]

            def counted():
                return [e for e in support.events(run)[number:] if e["kind"] == "update_accepted" and e["learner"] == "learner-1"]

            support.wait_for(counted, what="an update of the learner that came back")
            support.interrupt(process)
            assert process.wait(timeout=30) == 5
            assert learner.wait(timeout=30) == 0
    records = support.results(run)["rounds"]
    assert [record["round"] for record in records] == list(range(1, len(records) + 1))


def test_killing_the_whole_command_leaves_no_learner_behind(tmp_path):
    path = support.project(tmp_path, SLOW)
    with support.started("up", path, "--run-dir", "run", cwd=tmp_path) as process:
        support.wait_for_event(tmp_path / "run", "round_began")
        children = support.children(process)
        assert len(children) == 3
        process.kill()
        process.wait()
        support.assert_all_end(children, timeout_s=30.0)


def test_a_killed_driver_changes_nothing_for_controller_and_learners_and_another_takes_over(tmp_path):
    path = support.project(tmp_path, SLOW)
    address = f"grpc://{tmp_path}/fed.sock"
    with support.started("controller", path, "--address", address, cwd=tmp_path, name="controller") as controller:
        learners = []
        try:
            for index in range(3):
                place = ["--address", address, "--id", f"learner-{index}", "--index", index]
                command = support.started("learner", path, *place, cwd=tmp_path, name=f"learner-{index}")
                learners.append((command, command.__enter__()))
            with support.started("driver", path, "--address", address, "--run-dir", "one", cwd=tmp_path, name="driver") as driver:
                support.wait_for_event(tmp_path / "one", "round_committed")
                driver.kill()
            done = support.fedactors("driver", path, "--address", address, "--run-dir", "two", cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            records = support.results(tmp_path / "two")["rounds"]
            assert [record["round"] for record in records] == list(range(1, 13))
            assert controller.wait(timeout=30) == 0
            assert [learner.wait(timeout=30) for _, learner in learners] == [0, 0, 0]
        finally:
            for command, _ in learners:
                command.__exit__(None, None, None)
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or [])]


def test_a_frozen_learner_is_lost_and_the_round_goes_on(tmp_path):
    path = support.project(tmp_path, SLOW + "[liveness]\nheartbeat_s = 0.5\nlost_after_s = 2.0\n")
    run = tmp_path / "run"
    with support.started("up", path, "--run-dir", "run", cwd=tmp_path) as process:
        support.wait_for_event(run, "round_committed", round=1)
        pid = pid_of(process, "learner-2")
        os.kill(pid, signal.SIGSTOP)
        try:
            support.wait_for_event(run, "learner_departed", learner="learner-2")
            number = len(support.events(run))
            support.wait_for(lambda: [e for e in support.events(run)[number:] if e["kind"] == "round_committed"], what="a commit")
        finally:
            os.kill(pid, signal.SIGCONT)
        assert process.wait(timeout=30) == 0
