"""A process ends when its parent does."""

import os
import subprocess
import sys

import pytest

from fedactors.learner.parent import EXIT_ORPHANED

pytestmark = pytest.mark.e2e

WATCHES = """
import signal, sys, time
from fedactors.learner.parent import exit_with_parent
if sys.argv[2] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
exit_with_parent(int(sys.argv[1]), 0.1)
print("watching", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("manner", "code"), [("obedient", 0), ("stubborn", EXIT_ORPHANED)])
def test_a_process_ends_when_the_pipe_of_its_parent_closes(manner, code):
    read, write = os.pipe()
    arguments = [sys.executable, "-c", WATCHES, str(read), manner]
    with subprocess.Popen(arguments, pass_fds=[read], stdout=subprocess.PIPE, text=True) as process:
        os.close(read)
        assert process.stdout.readline() == "watching\n"
        assert process.poll() is None
        os.close(write)
        assert process.wait(20) == code
