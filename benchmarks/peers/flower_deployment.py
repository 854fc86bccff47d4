"""Flower's deployment engine, the path that it recommends: a SuperLink, a SuperNode for each learner, and `flwr run`.

The controller is the SuperLink and the process that runs the server's app. Every SuperNode is a process that starts more of them,
so compare.py asks for few learners.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from runner import Request, free_port, main, processes

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
START_WAIT_S = 60.0
PROJECT = """\
[project]
name = "stress"
version = "1.0.0"
dependencies = []

[tool.flwr.app]
publisher = "benchmark"

[tool.flwr.app.components]
serverapp = "flower_app:server"
clientapp = "flower_app:client"

[tool.flwr.app.config]
learners = {learners}
parameters = "{parameters}"
rounds = {rounds}
marks = "{marks}"
controller-pids = "{controller}"
"""
CONNECTION = """\
[superlink]
default = "here"

[superlink.here]
address = "{address}"
insecure = true
"""


def write_app(request: Request, controller: int) -> Path:
    """The app's folder, as `flwr run` wants it: a project file and the modules that it names."""
    folder = request.folder / "app"
    folder.mkdir()
    for module in ("flower_app.py", "marks.py", "workload.py"):
        shutil.copy(HERE / module, folder)
    asked = {"learners": request.learners, "parameters": request.parameters, "rounds": request.rounds}
    (folder / "pyproject.toml").write_text(PROJECT.format(**asked, marks=request.marks, controller=controller))
    return folder


def write_home(request: Request, address: str) -> None:
    """Flower's own folder for this run, and where its command line finds the SuperLink."""
    home = request.folder / "home"
    home.mkdir()
    (home / "config.toml").write_text(CONNECTION.format(address=address))
    os.environ.update(FLWR_HOME=str(home), FLWR_TELEMETRY_ENABLED="0", PATH=f"{BIN}:{os.environ['PATH']}")


def await_listener(port: int) -> None:
    """Return once somebody listens on a port of 127.0.0.1.

    Raises:
        SystemExit: nobody did within START_WAIT_S.
    """
    deadline_s = time.monotonic() + START_WAIT_S
    while time.monotonic() < deadline_s:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nobody listens on port {port} after {START_WAIT_S:.0f} s: see the log above")


def deploy(request: Request) -> None:
    """All rounds; `flwr run --stream` ends with the run."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    write_home(request, address)
    link = ["flower-superlink", "--insecure", "--disable-runtime-dependency-installation", "--port", port]
    node = ["flower-supernode", "--insecure", "--superlink", address, "--port"]
    with processes([link]) as (superlink,):
        await_listener(port)
        app = write_app(request, superlink.pid)
        with processes([[*node, free_port()] for _ in range(request.learners)]):
            subprocess.run(["flwr", "run", app, "here", "--stream"], check=True)


if __name__ == "__main__":
    main("flower_deployment", "flwr", deploy)
