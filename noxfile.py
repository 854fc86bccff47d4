"""What can be run on a checkout: `nox` for everything that must hold, `nox -l` for the list, `nox -s NAME` for one of them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["tests"]
nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
CONSTRAINTS = ("--constraint", "tests/constraints.txt")
WORKERS = 1 + (os.cpu_count() or 1)
"""Processes that test at the same time; there is always one whose tests wait for something."""
BENCHMARKS = ("mailbox", "aggregation", "compression", "round", "secure", "serve", "storage")
DEEP = (
    *(f"tests/e2e/test_{name}.py" for name in ("errors", "protocols", "rules", "up", "wire_faults")),
    *(f"tests/{name}" for name in ("protocol", "scheduling", "selection")),
)


@nox.session
def check(session: nox.Session) -> None:
    """Lint, format, types, and who may import whom; `tests` holds it, too."""
    session.install("-e", ".[dev,dashboard,metrics,otel]", *CONSTRAINTS)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports")


@nox.session(venv_backend="uv|venv")
def tests(session: nox.Session) -> None:
    """Every test, on every core. Arguments go to pytest."""
    session.install("--upgrade", "pip")  # that of Python 3.11 takes three times as long to choose among releases
    session.install(
        "-e", ".[dev,torch,keras,peft,examples,fast,plot,redis,ray,he,dp,dashboard,metrics,tensorboard,mlflow,otel]", *CONSTRAINTS
    )
    session.env["PYTHONDONTWRITEBYTECODE"] = ""  # a hundred processes start: each module is compiled once
    session.env.update(
        dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    )  # and none of them has the cores for itself
    session.run("pytest", *(session.posargs or ("-n", str(WORKERS), "--dist", "worksteal")))


@nox.session
def coverage(session: nox.Session) -> None:
    """Which lines the tests run; those that start processes are left out."""
    session.install(
        "-e", ".[dev,torch,keras,peft,examples,fast,plot,redis,ray,he,dp,dashboard,metrics,tensorboard,mlflow,otel]", *CONSTRAINTS
    )
    session.run("pytest", "-m", "not e2e", "-n", "auto", "--cov", "--cov-report=")
    session.run("coverage", "report", "--skip-covered", "--skip-empty", "--fail-under=85")


@nox.session
def quickstart(session: nox.Session) -> None:
    """What a newcomer does: the README's first command, to the letter, on a clean clone, in an environment; part of tests."""
    place = Path(session.create_tmp())
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    session.run("python", "-m", "tests.e2e.newcomer", str(place))


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks, small ones unless arguments say otherwise: `nox -s bench -- --full`."""
    session.install("-e", ".[dev,fast,redis,he,secure]", *CONSTRAINTS)
    arguments = [argument for argument in session.posargs if argument != "--full"] if session.posargs else ["--smoke"]
    for name in BENCHMARKS:
        session.run("python", f"benchmarks/{name}.py", *arguments)
    if arguments == ["--smoke"]:
        session.run("python", "benchmarks/peers/compare.py", *arguments)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation's site, in dist/site; a link that leads nowhere is an error. `nox -s docs -- serve` shows it."""
    session.install("-e", ".", "mkdocs-material>=9.6", "mkdocstrings[python]>=0.29", *CONSTRAINTS)
    session.run("mkdocs", *(session.posargs or ["build"]), "-f", "docs/site/mkdocs.yml", env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def deep(session: nox.Session) -> None:
    """What `tests` has no time for: ten times the examples of hypothesis, learners in processes, a thousand after a restart."""
    session.install("-e", ".[dev]", *CONSTRAINTS)
    session.env.update(HYPOTHESIS_PROFILE="thorough", DEEP="1")
    session.run("pytest", "--timeout", "900", *(session.posargs or DEEP))


@nox.session
def chaos(session: nox.Session) -> None:
    """Kill the controller at a hundred random instants, and everybody by turns: `nox -s chaos -- --trials 10`."""
    session.install("-e", ".[dev]", *CONSTRAINTS)
    session.run("python", "-m", "tests.e2e.chaos", *session.posargs)
    if not session.posargs:
        session.run("python", "-m", "tests.e2e.chaos", "--trials", "50", "--victims", "controller", "learner", "redis")


@nox.session
def cluster(session: nox.Session) -> None:
    """More of Ray than `tests` has: hosts that die, learners that cannot be made, forms and masks, on a cluster of two nodes."""
    session.install("-e", ".[dev,ray,he,secure]", *CONSTRAINTS)
    session.run("pytest", "tests/ray/at_length.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Every decoder under coverage-guided fuzzing, 20 s each: `nox -s fuzz -- --seconds 600 wire journal`."""
    session.install("-e", ".[dev]", "atheris>=3.0", *CONSTRAINTS)
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session
def schemas(session: nox.Session) -> None:
    """Generate the protobuf code and the configuration's JSON schema anew."""
    session.install("-e", ".[dev,redis]", *CONSTRAINTS)
    session.run("python", "schemas/generate.py")
    with (ROOT / "schemas" / "federation.schema.json").open("w", encoding="utf-8") as schema:
        session.run("python", "-m", "fedactors.config", stdout=schema)


@nox.session
def package(session: nox.Session) -> None:
    """Build the wheel, install it where the checkout is not at hand, and run it."""
    session.install("build")
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    session.run("python", "-m", "build", "--wheel", "--outdir", "dist")
    session.install("--force-reinstall", *map(str, (ROOT / "dist").glob("*.whl")))
    session.chdir(session.create_tmp())
    session.run("fedactors", "--help")
