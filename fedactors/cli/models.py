"""`fedactors models`: the versions that a run has kept."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fedactors.cli import options
from fedactors.cli.credentials import credentials, insecure

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from fedactors.config import Credentials
    from fedactors.driver.versions import Versions
    from fedactors.model import GlobalModel
    from fedactors.observe.difference import Difference
    from fedactors.protocol.versions import KeptVersion

T = TypeVar("T")

HEADS = ("version", "round", "committed", "size", "digest", "learners", "metrics")
DIFFERENCE_HEADS = ("tensor", "type", "max difference", "relative L2")
DIGEST_CHARS = 12

address = click.option("--address", metavar="ADDRESS", help="Of a controller, which may be at work; RUN is left out.")
as_json_flag = click.option("--json", "as_json", is_flag=True, help="As JSON, with everything that is known.")


@click.group(short_help="List, fetch and compare the versions of the global model that a run has kept.")
def models() -> None:
    """Look at the versions of a global model: in the directory of a run that is not going on, or at a controller."""


@models.command(short_help="A table of versions.")
@click.argument("run", required=False, callback=options.as_path)
@address
@credentials
@insecure
@as_json_flag
@options.debug
def ls(run: Path | None, address: str | None, credentials: Credentials, insecure: bool, as_json: bool) -> None:
    """List the versions that RUN has kept: the round that each came of, whose updates are in it, and how good it is."""

    async def kept(versions: Versions) -> list[KeptVersion]:
        return await versions.kept()

    found = _ask(_versions(run, address, credentials, insecure), kept)
    if as_json:
        _show_json([asdict(one) for one in found])
    elif found:
        from fedactors.cli.columns import in_columns

        click.echo(in_columns(HEADS, [_row(one) for one in found], numbers=("version", "round", "size", "learners")))
    else:
        click.echo("there is no version yet")


@models.command(short_help="A version as a safetensors file.")
@click.argument("run", required=False, callback=options.as_path)
@address
@credentials
@insecure
@click.option("--version", type=click.IntRange(min=0), metavar="N", help="Which one.  [default: the newest]")
@click.option("--output", "-o", required=True, callback=options.as_path, metavar="FILE", help="Where to write it.")
@click.option("--force", is_flag=True, help="Write over FILE if it is there.")
@options.ckks_key
@options.debug
def get(
    run: Path | None,
    address: str | None,
    ckks_key: Path | None,
    credentials: Credentials,
    insecure: bool,
    version: int | None,
    output: Path,
    force: bool,
) -> None:
    """Write a version of RUN to FILE, as PyTorch and others load it.

    A federation starts from it with `initial = "file:FILE"` in its configuration.
    """
    from fedactors import model_file
    from fedactors.errors import ConfigError
    from fedactors.observe.figures import counted, size
    from fedactors.privacy.ckks_layout import is_sealed

    if output.exists() and not force:
        raise ConfigError(f"{output} exists already; name another file, or write over it with --force")
    model = _opened(_ask(_versions(run, address, credentials, insecure), lambda versions: versions.model(version)), ckks_key)
    model_file.save(model, output)
    if is_sealed(model.layout):
        click.echo(f"version {model.version} is in {output}, as it is kept: sealed; `fedactors models open` needs the key")
        return
    parameters = counted(model.layout.num_parameters, "parameter")
    click.echo(f"version {model.version} is in {output}  ({parameters}, {size(output.stat().st_size)})")


@models.command("open", short_help="A sealed version as its learners know it.")
@click.argument("file", callback=options.as_path)
@options.ckks_key
@click.option("--output", "-o", required=True, callback=options.as_path, metavar="FILE", help="Where to write it.")
@click.option("--force", is_flag=True, help="Write over the output if it is there.")
@options.debug
def open_sealed(file: Path, ckks_key: Path | None, output: Path, force: bool) -> None:
    """Open FILE, a version that was saved as ciphertext, with the key of its federation."""
    from fedactors import model_file
    from fedactors.errors import ConfigError
    from fedactors.model import GlobalModel

    if ckks_key is None:
        raise ConfigError("name the key to it with --ckks-key; every learner of its federation has one")
    if output.exists() and not force:
        raise ConfigError(f"{output} exists already; name another file, or write over it with --force")
    sealed = GlobalModel.initial(model_file.load(file))
    opened = _opened(GlobalModel(model_file.version(file), sealed.layout, sealed.buffer), ckks_key)
    model_file.save(opened, output)
    click.echo(f"version {opened.version} is in {output}")


@models.command(short_help="How far apart two versions are, tensor by tensor.")
@click.argument("arguments", nargs=-1, required=True, metavar="[RUN] A B")
@address
@credentials
@insecure
@options.ckks_key
@as_json_flag
@options.debug
def diff(
    arguments: tuple[str, ...],
    address: str | None,
    ckks_key: Path | None,
    credentials: Credentials,
    insecure: bool,
    as_json: bool,
) -> None:
    """Compare version B of RUN with version A.

    For each tensor: the greatest difference of a value, and the length of B - A relative to that of A.
    """
    from fedactors.observe.difference import differences, together

    run, a, b = _compared(arguments)

    async def both(versions: Versions) -> Any:
        return _opened(await versions.model(a), ckks_key), _opened(await versions.model(b), ckks_key)

    found = differences(*_ask(_versions(run, address, credentials, insecure), both))
    total = together(difference for _, difference in found)
    if as_json:
        tensors = [
            {"name": tensor.name, "dtype": tensor.dtype, "shape": tensor.shape, **_figures(difference)}
            for tensor, difference in found
        ]
        _show_json({"a": a, "b": b, "tensors": tensors, "total": _figures(total)})
        return
    from fedactors.cli.columns import in_columns

    rows = [(tensor.name, str(tensor).removeprefix(f"{tensor.name}: "), *_shown(difference)) for tensor, difference in found]
    rows.append(("all together", f"{sum(tensor.size for tensor, _ in found):,} values", *_shown(total)))
    click.echo(in_columns(DIFFERENCE_HEADS, rows, numbers=DIFFERENCE_HEADS[2:]))


def _opened(model: GlobalModel, ckks_key: Path | None) -> GlobalModel:
    """A version as its learners know it, if there is a key; as it is kept otherwise."""
    if ckks_key is None:
        return model
    from fedactors.privacy.ckks_key import CkksKey

    return CkksKey.read(ckks_key).opened(model)


def _compared(arguments: tuple[str, ...]) -> tuple[Path | None, int, int]:
    """The run, if one is named, and the numbers of two versions."""
    from fedactors.errors import ConfigError

    *places, a, b = arguments if len(arguments) > 1 else ("", "", "")
    if len(places) > 1 or not (a.isdecimal() and b.isdecimal()):
        raise ConfigError("name a run and the numbers of two versions, as in `fedactors models diff RUN 3 7`")
    return (Path(places[0]) if places else None), int(a), int(b)


def _versions(
    run: Path | None, address: str | None, credentials: Credentials, insecure: bool
) -> AbstractAsyncContextManager[Versions]:
    """Where the versions are."""
    from fedactors.driver.versions import at_address, of_run
    from fedactors.errors import ConfigError

    if run is not None and address is None:
        return of_run(run)
    if run is None and address is not None:
        return at_address(address, credentials, insecure=insecure)
    raise ConfigError("name RUN, the directory of a run, or a controller with --address; one of the two")


def _ask(place: AbstractAsyncContextManager[Versions], question: Callable[[Versions], Coroutine[Any, Any, T]]) -> T:
    import asyncio

    from fedactors.cli.run import GRPC_SETTINGS

    async def asked() -> T:
        async with place as versions:
            return await question(versions)

    for name, setting in GRPC_SETTINGS.items():
        os.environ.setdefault(name, setting)
    return asyncio.run(asked())


def _row(one: KeptVersion) -> tuple[str, ...]:
    from fedactors.cli.columns import unbroken
    from fedactors.observe.figures import metrics, size

    facts = one.facts
    committed = datetime.fromtimestamp(facts.get("committed_unix_s", one.created_unix_s))  # as on the wall
    learners = facts.get("totals", {}).get("accepted")
    return (
        str(one.version),
        str(facts.get("round", "-")),
        f"{committed:%Y-%m-%d %H:%M:%S}",
        size(one.nbytes),
        one.digest[:DIGEST_CHARS] or "-",
        "-" if learners is None else f"{learners:,}",
        unbroken(metrics(facts.get("metrics", {}))),
    )


def _figures(difference: Difference) -> dict[str, float]:
    return {"max_abs": difference.max_abs, "relative_l2": difference.relative_l2}


def _shown(difference: Difference) -> tuple[str, str]:
    return f"{difference.max_abs:.4g}", f"{difference.relative_l2:.4g}"


def _show_json(value: Any) -> None:
    from fedactors.driver.run_directory import plain

    click.echo(json.dumps(plain(value), indent=2))
