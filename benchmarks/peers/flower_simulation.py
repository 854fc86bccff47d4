"""Flower's simulation on Ray: one actor a core, models through shared memory, no network.

The controller is this process: it runs the server's app and hands tasks to the actors.
"""

from __future__ import annotations

import os

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"  # flwr reads it when it is imported
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import flower_app
from flwr.simulation import run_simulation
from network import is_private
from runner import Request, main

OBJECT_STORE_BYTES = 4 << 30
RAY = {"_node_ip_address": "127.0.0.1", "num_cpus": os.cpu_count(), "object_store_memory": OBJECT_STORE_BYTES}


def simulate(request: Request) -> None:
    """All rounds."""
    if not is_private():
        raise SystemExit("Ray listens on every interface: start it with `python network.py PYTHON flower_simulation.py ...`")
    config = {
        "learners": request.learners,
        "parameters": request.parameters,
        "rounds": request.rounds,
        "marks": str(request.marks),
        "controller-pids": "",
    }
    run_simulation(
        server_app=flower_app.server_for(config),
        client_app=flower_app.client,
        num_supernodes=request.learners,
        backend_config={"init_args": RAY, "client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )


if __name__ == "__main__":
    main("flower_simulation", "flwr", simulate)
