"""Coverage-guided fuzzing of every decoder: `nox -s fuzz -- --seconds 600 wire journal`; without names, all targets in turn.

Each target is a module of this folder with `SEEDS`, which are valid, and `check`, which takes any bytes: it returns where they
decode to a value that keeps its promises or raise the documented error, and raises where they do anything else. What libFuzzer
finds interesting is kept in --corpus; an input that fails is written beside it, and its target named.
"""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
from pathlib import Path

TARGETS = ("admin", "blobs", "bodies", "config", "frames", "journal", "model_file", "runs", "spool", "stored", "wire")
SECONDS = 20
INPUT_BYTES_MAX = 4096
INPUT_S_MAX = 60
MEMORY_MIB_MAX = 2048
"""Of the whole process: what takes more for an input of INPUT_BYTES_MAX has forgotten a limit."""
INSTRUMENTED = ["fedactors"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", default=TARGETS, metavar="TARGET", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for each target")
    parser.add_argument("--corpus", type=Path, default=Path("dist/fuzz"), help="where interesting inputs are kept")
    parser.add_argument("--here", action="store_true", help="fuzz one target in this process")
    given = parser.parse_args()
    if unknown := set(given.targets) - set(TARGETS):
        parser.error(f"no target named {min(unknown)!r}; there are {', '.join(TARGETS)}")
    if given.here:
        fuzz(given.targets[0], given.corpus, given.seconds)
    return max(tried(target, given.corpus, given.seconds) for target in given.targets)


def tried(target: str, corpus: Path, seconds: int) -> int:
    """Fuzz a target in a process of its own, which libFuzzer ends; 0 if nothing was found."""
    command = [sys.executable, "-m", "tests.fuzz", target, "--here", "--seconds", str(seconds), "--corpus", str(corpus)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    runs = re.findall(r"(?:number_of_executed_units:|^Done) (\d+)", done.stderr, re.MULTILINE)
    print(
        f"{target}: {int(runs[-1]) if runs else 0:,} inputs, {'nothing found' if done.returncode == 0 else 'FAILED'}", flush=True
    )
    if done.returncode:
        print(done.stdout[-3000:], done.stderr[-6000:], sep="\n", flush=True)
    return done.returncode


def fuzz(name: str, corpus: Path, seconds: int) -> None:
    """Does not return: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
        target = importlib.import_module(f"tests.fuzz.{name}")
    inputs = corpus / name
    inputs.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.SEEDS):
        (inputs / f"seed-{number:03}").write_bytes(seed)
    limits = [f"-max_len={INPUT_BYTES_MAX}", f"-timeout={INPUT_S_MAX}", f"-rss_limit_mb={MEMORY_MIB_MAX}"]
    report = [f"-artifact_prefix={corpus}/{name}-", "-print_final_stats=1", "-verbosity=0"]
    atheris.Setup([sys.argv[0], str(inputs), f"-max_total_time={seconds}", *limits, *report], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    raise SystemExit(main())
