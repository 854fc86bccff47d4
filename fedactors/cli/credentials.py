"""The options by which a verb shows who it is to a controller, and says whom it trusts."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from fedactors.cli.options import as_path

Function = TypeVar("Function", bound=Callable[..., Any])

TOKEN_VARIABLE = "FEDACTORS_TOKEN"  # noqa: S105  # a variable's name
TOKEN_FILE_BYTES_MAX = 4096

insecure = click.option(
    "--insecure",
    is_flag=True,
    help="Do without TLS, or without credentials, where other machines can reach ADDRESS: controller.insecure = true.",
)


def _file(option: str, help_: str) -> Callable[[Function], Function]:
    variable = f"FEDACTORS_{option.strip('-').replace('-', '_').upper()}"
    return click.option(option, callback=as_path, metavar="FILE", envvar=variable, show_envvar=True, help=help_)


def credentials(function: Function) -> Function:
    """Adds --ca, --certificate, --key and --token-file, given to the verb as one `credentials`."""

    @_file("--ca", "The authority that signs the controller's certificate.  [default: tls.ca of FILE, or the system's]")
    @_file("--certificate", "This client's certificate, where the controller demands one.")
    @_file("--key", "The certificate's private key.")
    @_file("--token-file", f"Holds this client's token, which {TOKEN_VARIABLE} may hold instead.")
    @functools.wraps(function)
    def wrapped(
        *args: Any, ca: Path | None, certificate: Path | None, key: Path | None, token_file: Path | None, **kwargs: Any
    ) -> Any:
        from fedactors.config import Credentials

        return function(*args, credentials=Credentials(ca, certificate, key, read_token(token_file)), **kwargs)

    return wrapped  # type: ignore[return-value]  # the same function, with its options in place of `credentials`


def read_token(file: Path | None) -> str:
    """The token in a file, else in the environment; empty where there is none.

    Raises:
        ConfigError: it cannot be read, or is no one line of ASCII. The message does not show it.
    """
    from fedactors.errors import ConfigError

    where = TOKEN_VARIABLE if file is None else str(file)
    if file is None:
        text = os.environ.get(TOKEN_VARIABLE, "")
    else:
        try:
            with file.open("rb") as opened:
                text = opened.read(TOKEN_FILE_BYTES_MAX).decode("ascii", "replace")
        except OSError as error:
            said = f"the token file {file} cannot be read: {error.strerror}"
            raise ConfigError(f"{said}; name the right one by --token-file") from None
    token = text.strip()
    if (file is not None and not token) or any(not "!" <= character <= "~" for character in token):
        raise ConfigError(f"{where} holds no token, which is one word: copy what `fedactors tokens add` has shown")
    return token


def overrides(*, insecure: bool) -> list[str]:
    """`--insecure` as an override of the configuration."""
    return ["controller.insecure=true"] if insecure else []
