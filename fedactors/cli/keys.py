"""`fedactors keys`: the keys of federations whose models the controller cannot read."""

from __future__ import annotations

from pathlib import Path

import click

from fedactors.cli import options

PRESETS = ("precise", "fast")


@click.group(short_help="Make the key of a federation whose controller cannot read its models.")
def keys() -> None:
    """Make keys that learners share, and the controller lacks."""


@keys.command(short_help='A secret key for [secure] method = "ckks".')
@click.argument("out", callback=options.as_path)
@click.option("--preset", type=click.Choice(PRESETS), default="precise", show_default=True, help="Of parameters.")
@options.debug
def ckks(out: Path, preset: str) -> None:
    """Write a new secret key to OUT, a file that its owner alone can read.

    Every learner is given a copy, and whoever shall read the result; the controller is not. What it needs to know stands in its
    configuration: the method and the preset.
    """
    from fedactors.privacy.ckks_key import CkksKey

    key = CkksKey.draw(preset)
    key.write(out)
    click.echo(f"the secret key {key.fingerprint} is in {out}; keep it from the controller")
    click.echo(f'federation.toml:  [secure] method = "ckks", options = {{ preset = "{preset}" }}')
    click.echo(f"every learner:    fedactors learner ... --ckks-key {out}")
    click.echo(f"the result:       fedactors models get RUN --ckks-key {out} --output model.safetensors")
