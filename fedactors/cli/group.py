"""`fedactors`: finds the verb, and turns an error into one line and an exit code.

Nothing here imports more than click: `fedactors --help` answers at once.
"""

from __future__ import annotations

import sys
from typing import Any

import click
from typing_extensions import override

from fedactors import plugins
from fedactors.cli.exit_codes import MEANINGS, ExitCode, exit_code
from fedactors.cli.options import debugging
from fedactors.errors import ConfigError, FedactorsError

GROUP = "fedactors.cli"
ORDER = ("new", "check", "up", "controller", "learner", "relay", "driver")
"""Of the verbs in the help; others follow in order of the alphabet."""


class Verbs(click.Group):
    """A group whose verbs are the entry points of `fedactors.cli`, each imported when it is wanted."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        known = plugins.names(GROUP)
        return [*(verb for verb in ORDER if verb in known), *(verb for verb in known if verb not in ORDER)]

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        try:
            verb: click.Command = plugins.load(GROUP, cmd_name)
        except ConfigError as error:
            return _broken(cmd_name, error) if cmd_name in plugins.names(GROUP) else None
        return verb

    @override
    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            known = self.list_commands(ctx)
            raise ConfigError(f"no verb named {args[0]!r}{plugins.did_you_mean(args[0], known)} (known: {', '.join(known)})")
        return super().resolve_command(ctx, args)

    @override
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            raise click.exceptions.Exit(ExitCode.ABORTED) from None
        except Exception as error:
            raise click.exceptions.Exit(report(error, debug=debugging(ctx))) from None


def report(error: Exception, *, debug: bool) -> ExitCode:
    """Say on stderr what went wrong, in one line, and return the exit code for it."""
    if debug:
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    cause = _first(error)
    if isinstance(cause, FedactorsError):
        said, code = str(cause), exit_code(cause)
    elif isinstance(cause, OSError):
        said, code = str(cause), ExitCode.FAILED
    else:
        hint = "" if debug else "; --debug shows the traceback"
        said, code = f"{type(cause).__name__}: {cause} (this is a bug in fedactors{hint})", ExitCode.BUG
    click.echo(f"{click.style('error:', fg='red', bold=True)} {' '.join(said.split())}", err=True)
    return code


def _first(error: BaseException) -> BaseException:
    """Of a group of errors the first that is fedactors' own, else the first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [_first(one) for one in error.exceptions]
    return next((leaf for leaf in leaves if isinstance(leaf, FedactorsError)), leaves[0])


def _broken(name: str, error: ConfigError) -> click.Command:
    """A verb that cannot be imported: listed in the help, and an error when it is called."""

    def fail() -> None:
        raise error

    whatever = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=fail, short_help="(cannot be loaded)", context_settings=whatever)


def _version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        click.echo(f"fedactors {version('fedactors')} (Python {sys.version.split()[0]})")
        ctx.exit()


_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:<3}  {meaning}" for code, meaning in MEANINGS.items())
_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=Verbs, epilog=_EPILOG, subcommand_metavar="VERB ...", context_settings=_SETTINGS)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def main() -> None:
    """Federated learning on actors: a controller, learners, a driver.

    `fedactors up federation.toml` runs a whole federation on this machine.
    """
