"""NVFlare's collaboration API, the newest of its ways to write a federation, in its simulator."""

from __future__ import annotations

import os
from pathlib import Path

from nvflare.collab import CollabRecipe
from nvflare.recipe import SimEnv
from nvflare_collab_sites import CALL_TIMEOUT_S, StressClient, StressServer
from runner import Request, main

HERE = Path(__file__).parent


def simulate(request: Request) -> None:
    """All rounds."""
    os.environ["PYTHONPATH"] = str(HERE)  # the simulator's processes import marks and workload
    recipe = CollabRecipe(
        job_name="stress",
        server=StressServer(request.parameters, request.rounds, str(request.marks)),
        client=StressClient(),
        min_clients=request.learners,
        sync_task_timeout=CALL_TIMEOUT_S,
    )
    recipe.execute(SimEnv(num_clients=request.learners, workspace_root=str(request.folder)))


if __name__ == "__main__":
    main("nvflare_collab", "nvflare", simulate)
