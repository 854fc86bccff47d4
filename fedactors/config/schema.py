"""The JSON schema of a federation's file, for editors: `python -m fedactors.config > schemas/federation.schema.json`.

Descriptions are the documented attributes of the tables and of the built-in plug-ins. Only fedactors' own plug-ins are listed, so
that the schema is the same wherever it is made; a stranger's plug-in is still accepted by `fedactors check`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from importlib.metadata import entry_points
from typing import Any

from pydantic_core import to_jsonable_python

from fedactors import plugins
from fedactors.aggregation.discount import DISCOUNTS
from fedactors.aggregation.weighting import METRIC_PREFIX, Share
from fedactors.config.table import Table
from fedactors.config.tables import Config

_NAMED = {
    "ProtocolTable": ("name", "fedactors.scheduling"),
    "SelectionTable": ("policy", "fedactors.selection"),
    "AggregationTable": ("rule", "fedactors.aggregation"),
    "StoreTable": ("url", "fedactors.storage"),
    "SecureTable": ("method", "fedactors.privacy"),
    "CompressionTable": ("updates", "fedactors.compression"),
}
"""The tables that name a plug-in: in which key, and from which group."""


def json_schema() -> dict[str, Any]:
    """The JSON schema of `federation.toml`."""
    schema = Config.model_json_schema()
    schema["required"] = []
    definitions = schema["$defs"]
    _describe(schema, Config)
    for table in _kinds_of(Table):
        if table.__name__ in definitions:
            _describe(definitions[table.__name__], table)
    for name, (key, group) in _NAMED.items():
        _list_plugins(definitions[name], key, group)
    _list_plugins(definitions["AggregationTable"], "combine", "fedactors.aggregation", "combine_options")
    definitions["AggregationTable"]["properties"]["discount"]["enum"] = list(DISCOUNTS)
    weighting = definitions["AggregationTable"]["properties"]["weighting"]
    weighting["anyOf"] = [{"enum": list(Share)}, {"pattern": f"^{METRIC_PREFIX}."}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_without_titles(schema)}


def attribute_docs(documented: Any) -> dict[str, str]:
    """The `Attributes:` section of a Google-style docstring, by attribute, each on one line."""
    doc = inspect.cleandoc(documented.__doc__ or "")
    section = re.search(r"^Attributes:\n((?:[ ]{4}.*\n?|\n)+)", doc, re.MULTILINE)
    if section is None:
        return {}
    items = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section[1], re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in items}


def _kinds_of(table: type[Table]) -> Iterator[type[Table]]:
    for kind in table.__subclasses__():
        yield kind
        yield from _kinds_of(kind)


def _describe(schema: dict[str, Any], documented: Any) -> None:
    schema["description"] = inspect.cleandoc(documented.__doc__ or "").partition("\n")[0]
    for name, text in attribute_docs(documented).items():
        if name in schema.get("properties", {}):
            schema["properties"][name]["description"] = text


def _list_plugins(table: dict[str, Any], key: str, group: str, options: str = "options") -> None:
    """Restrict the name (or a URL's scheme) to the built-ins, and the options to those of the plug-in that is named."""
    builtin = sorted(point.name for point in entry_points(group=group) if point.value.startswith("fedactors."))
    properties, url = table["properties"], key == "url"
    properties[key] |= {"pattern": f"^({'|'.join(builtin)})://"} if url else {"enum": builtin}
    default = (properties[key]["default"] or "").partition("://")[0]
    table["allOf"] = table.get("allOf", []) + [
        {
            "if": {
                "properties": {key: {"pattern": f"^{name}://"} if url else {"const": name}},
                "required": [] if name == default else [key],
            },
            "then": {"properties": {options: _options_schema(plugins.load(group, name))}},
        }
        for name in builtin
    ]


def _options_schema(plugin: Any) -> dict[str, Any]:
    defaults = {field.name: field.default for field in fields(plugin) if field.default is not MISSING}
    properties = {name: adapter.json_schema() for name, adapter in plugins.adapters(plugin).items()}
    for name in properties.keys() & defaults:
        properties[name]["default"] = to_jsonable_python(defaults[name])
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    _describe(schema, plugin)
    return schema


def _without_titles(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _without_titles(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)}
