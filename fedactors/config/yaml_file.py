"""A configuration in YAML. Imported where there is one: most are in TOML."""

from __future__ import annotations

from typing import Any

import yaml

from fedactors.config.plugging import Key
from fedactors.config.wording import unreadable
from fedactors.errors import ConfigError

DEPTH_MAX = 64
NODES_MAX = 10_000
"""Of a file, once every alias is written out: a few lines of aliases to aliases would be more than any memory holds."""


def read_yaml(text: str, file: str) -> tuple[dict[str, Any], dict[Key, int]]:
    """What is written in a file, and each key's line.

    Raises:
        ConfigError: it is no YAML, no mapping, or too large once its aliases are written out.
    """
    try:
        lines = _lines(yaml.compose(text, Loader=yaml.SafeLoader), file)
        given = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{file}{line}: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: {' '.join(str(error).split())}") from error
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{file}: {unreadable(error)}") from error
    if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
        raise ConfigError(f"{file}: a configuration is a mapping of words to values")
    return given, lines


def _lines(root: yaml.Node | None, file: str) -> dict[Key, int]:
    """Each key's line; ConfigError where the aliases in a file, written out, make it too large, or have no end."""
    lines: dict[Key, int] = {}
    left: list[tuple[Key, yaml.Node | None]] = [((), root)]
    for _ in range(NODES_MAX):
        if not left:
            return lines
        prefix, node = left.pop()
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                path = (*prefix, str(key.value))
                lines[path] = key.start_mark.line + 1
                left.append((path, value))
                if len(path) > DEPTH_MAX:
                    raise ConfigError(f"{file}:{lines[path]}: a mapping within {DEPTH_MAX} others; is an alias in itself?")
        elif isinstance(node, yaml.SequenceNode):
            left.extend((prefix, item) for item in node.value)
    raise ConfigError(f"{file}: it has more than {NODES_MAX:,} values once its aliases are written out; use fewer aliases")
