"""The systems that are compared, and the environment that each of them is installed in."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class System:
    """One column of the table.

    Attributes:
        title: the column's.
        environment: what its pinned packages are called, requirements-ENVIRONMENT.txt; None is this python's own.
        learners_max: it is asked for no more of them, as one learner is several processes; the table says so.
        rounds_max: it is asked for no more of them, as one takes half a minute whatever the model.
    """

    title: str
    environment: str | None
    learners_max: int | None = None
    rounds_max: int | None = None

    def asked(self, learners: int, rounds: int) -> tuple[int, int]:
        """The learners and rounds that this system is asked for where the grid says so many."""
        return min(learners, self.learners_max or learners), min(rounds, self.rounds_max or rounds)


OURS = "fedactors_grpc"
SYSTEMS = {  # by the name of the runner's file
    OURS: System("fedactors, gRPC", None),
    "fedactors_tcp": System("fedactors, TCP", None),
    "fedactors_ray": System("fedactors, Ray", None),
    "flower_grpc": System("Flower, direct gRPC", "flower"),
    "flower_simulation": System("Flower, Ray simulation", "flower"),
    "flower_deployment": System("Flower, deployment engine", "flower", learners_max=2, rounds_max=5),
    "nvflare_collab": System("NVFlare, collaboration API", "nvflare"),
    "nvflare_simulator": System("NVFlare, FedAvg recipe", "nvflare"),
}


def python_of(system: System, venvs: Path) -> Path:
    """The python that has a system, whose environment is made under `venvs` unless it is there with the same pins.

    Raises:
        SystemExit: the packages cannot be installed.
    """
    if system.environment is None:
        return Path(sys.executable)
    pins = HERE / f"requirements-{system.environment}.txt"
    folder = venvs / system.environment
    installed = folder / pins.name
    if not installed.exists() or installed.read_text() != pins.read_text():
        install(folder, pins)
        installed.write_text(pins.read_text())
    return folder / "bin" / "python"


def install(folder: Path, pins: Path) -> None:
    """A fresh environment with what a requirements file names."""
    print(f"installing {pins.name} into {folder}", file=sys.stderr, flush=True)
    pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--requirement", pins]
    for command in ([sys.executable, "-m", "venv", "--clear", folder], pip):
        if subprocess.run(command, check=False).returncode != 0:
            raise SystemExit(f"cannot install {pins.name}: see above; leave its systems out with --systems")
