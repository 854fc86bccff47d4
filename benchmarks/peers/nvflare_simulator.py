"""NVFlare's FedAvg recipe in its simulator: the server and the clients are processes that talk over loopback."""

from __future__ import annotations

import os
from pathlib import Path

from nvflare.job_config.script_runner import FrameworkType
from nvflare.recipe import FedAvgRecipe, SimEnv
from nvflare_model import StressModel
from runner import Request, main

HERE = Path(__file__).parent


def simulate(request: Request) -> None:
    """All rounds."""
    os.environ["PYTHONPATH"] = str(HERE)  # the simulator's processes import marks and workload
    recipe = FedAvgRecipe(
        name="stress",
        model_persistor=StressModel(request.parameters, str(request.marks)),
        framework=FrameworkType.NUMPY,
        server_expected_format="numpy",
        min_clients=request.learners,
        num_rounds=request.rounds,
        train_script=str(HERE / "nvflare_client.py"),
    )
    recipe.add_server_file(str(HERE / "nvflare_model.py"))
    recipe.execute(SimEnv(num_clients=request.learners, workspace_root=str(request.folder)))


if __name__ == "__main__":
    main("nvflare_simulator", "nvflare", simulate)
