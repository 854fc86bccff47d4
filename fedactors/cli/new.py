"""`fedactors new`: a project that runs at once, to make one's own of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import click

from fedactors.cli import options

ENTRIES: Mapping[str, str] = {
    "numpy": "learner.py:MyLearner",
    "torch": "learner.py:learner",
    "sklearn": "learner.py:learner",
    "flower": "flower:client.py:client_fn",
}
"""Of each template, what its configuration names."""

TEMPLATES = Path(__file__).parent / "templates"
COMMON = "common"
"""The files of every project; PROJECT, ENTRY and CODE in them are filled in."""


@click.command(short_help="Write a project that runs at once, to make your own of.")
@click.argument("place", metavar="NAME", callback=options.as_path)
@click.option(
    "--template", type=click.Choice(list(ENTRIES)), default="numpy", show_default=True, help="What learners are made with."
)
@options.debug
def new(place: Path, template: str) -> None:
    """Write a project into the directory NAME: a learner, its configuration, its tests and a README."""
    from fedactors.errors import ConfigError

    name = place.resolve().name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise ConfigError(
            f"{name!r} is no name for a project: up to 64 letters, digits, '.', '_' and '-', the first a letter or a digit"
        )
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise ConfigError(f"{place} is there already, and not empty; take another name")
    place.mkdir(parents=True, exist_ok=True)
    found = files(template, name)
    for path, text in found.items():
        (place / path).write_text(text, encoding="utf-8")
    click.echo(f"{', '.join(sorted(found))} in {place}\n\n  cd {place}\n  fedactors up federation.toml")


def files(template: str, name: str) -> dict[str, str]:
    """A project's files: texts by name."""
    entry = ENTRIES[template]
    code = entry.split(":")[-2]
    found = {code: (TEMPLATES / template / code).read_text(encoding="utf-8")}
    for path in sorted(path for path in (TEMPLATES / COMMON).iterdir() if path.is_file()):  # an installer compiles what is Python
        text = path.read_text(encoding="utf-8").replace("PROJECT", name).replace("ENTRY", entry).replace("CODE", code)
        found[".gitignore" if path.name == "gitignore" else path.name] = text
    return found
