"""The learner's thread: one job at a time, and what becomes of it when the process ends."""

import asyncio
import subprocess
import sys
import time

import pytest

from fedactors.learner.worker import Worker

ENDS_WHILE_BUSY = """
import asyncio, threading, time
from fedactors.learner.worker import Worker, end_process_if_busy

def trains(seconds):
    import torch
    module, inputs, deadline = torch.nn.Linear(500, 500), torch.randn(500, 500), time.monotonic() + seconds
    print("training", flush=True)
    training.set()
    while time.monotonic() < deadline:
        module(inputs).sum().backward()

async def main():
    working = asyncio.ensure_future(worker(lambda: trains({seconds})))
    await asyncio.to_thread(training.wait)
    working.cancel()

training, worker = threading.Event(), Worker("w")
asyncio.run(main())
{last}
"""


async def test_jobs_run_one_at_a_time_and_those_nobody_waits_for_are_skipped():
    worker, ran = Worker("w"), []
    slow = asyncio.ensure_future(worker(lambda: (time.sleep(0.02), ran.append("slow"))))
    dropped = asyncio.ensure_future(worker(lambda: ran.append("dropped")))
    last = asyncio.ensure_future(worker(lambda: ran.append("last")))
    await asyncio.sleep(0)
    dropped.cancel()
    await asyncio.gather(slow, last)
    worker.stop()
    assert ran == ["slow", "last"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
async def test_whatever_was_raised_is_handed_over(error):
    def job():
        raise error

    worker = Worker("w")
    with pytest.raises(error):
        await worker(job)
    worker.stop()


@pytest.mark.e2e
@pytest.mark.parametrize(("seconds", "last", "code"), [(1.5, "", 0), (60, "end_process_if_busy(7)", 7)])
def test_a_process_ends_in_good_order_while_its_learner_is_training(seconds, last, code):
    pytest.importorskip("torch")
    script = ENDS_WHILE_BUSY.format(seconds=seconds, last=last)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "training\n", "")
