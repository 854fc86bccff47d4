"""What a newcomer does: the README's first command, to the letter, on a clean clone in a fresh environment.

    python -m tests.e2e.newcomer DIRECTORY

It installs, so it needs a package index.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def quickstart(place: Path) -> str:
    """What the command prints, in an environment and a clone that are made in `place`; it must succeed."""
    clone, environment = place / "clone", place / "environment"
    command = re.search(r"^pip install .*fedactors up .*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert command is not None, "README.md has no line that installs and runs the quickstart"
    run("git", "clone", "--quiet", "--local", str(ROOT), str(clone), cwd=place)
    run(sys.executable, "-m", "venv", "--without-pip", str(environment), cwd=place)
    run(sys.executable, "-m", "pip", "--python", str(environment), "install", "--quiet", "pip", cwd=place)  # a new one is quick
    return run("bash", "-euo", "pipefail", "-c", command[0], cwd=clone, path=environment / "bin")


def run(*command: str, cwd: Path, path: Path | None = None) -> str:
    """What a command prints; it must succeed."""
    first = {} if path is None else {"PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=cwd, env=os.environ | first, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


if __name__ == "__main__":
    print(quickstart(Path(sys.argv[1])))
