"""What pydantic finds wrong, in a user's words."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ValidationError

from fedactors.config.plugging import Key
from fedactors.config.tables import Config
from fedactors.plugins import as_written, did_you_mean, expected

_NO_TABLE = {"model_type", "model_attributes_type", "dict_type"}
_NO_NEWS = {"default_factory_not_called"}


def in_words(error: ValidationError) -> list[tuple[Key, str]]:
    """Every problem as its key and a sentence, in pydantic's order."""
    found = [one for one in error.errors(include_url=False) if one["type"] not in _NO_NEWS]
    return [(_key(one), _sentence(_key(one), one)) for one in found]


def unknown(key: Key) -> str:
    """That a table has no such key, and where the key may have been meant to go."""
    *around, name = key
    known = list(_model(tuple(around)).model_fields)
    owner = f"[{'.'.join(around)}] has no key {name!r}" if around else f"there is no table or key {name!r}"
    elsewhere = [table for table in Config.model_fields if name in _model((table,)).model_fields]
    hint = f"; it belongs in [{elsewhere[0]}]" if elsewhere and not around else did_you_mean(name, known)
    return f"{owner}{hint} (known: {', '.join(known)})"


def _sentence(key: Key, error: Any) -> str:
    match error["type"]:
        case "extra_forbidden":
            return unknown(key)
        case "missing":
            return f"[{'.'.join(key[:-1])}] needs the key {key[-1]!r}"
        case "literal_error":
            hint = did_you_mean(str(error["input"]), re.findall(r"'([^']*)'", error["ctx"]["expected"]))
            return f"{'.'.join(key)} = {as_written(error['input'])} must be {error['ctx']['expected']}{hint}"
        case "invalid-json-value":
            return f"{'.'.join(key)} = {as_written(error['input'])} must be a number, a string, true or false, a list or a table"
        case kind if kind in _NO_TABLE:
            return f"{'.'.join(key)} = {as_written(error['input'])} must be a table: [{'.'.join(key)}]"
        case _:
            return expected(".".join(key), error["input"], {**error, "loc": ()})


def _key(error: Any) -> Key:
    """Where the error is, without list indices and without pydantic's own words for what is inside an option."""
    words = {"list", "dict"} if error["type"] == "invalid-json-value" else set()
    return tuple(part for depth, part in enumerate(error["loc"]) if isinstance(part, str) and (depth < 2 or part not in words))


def _model(key: Key) -> type[BaseModel]:
    """The table class at a key; a table that may be absent counts as present."""
    model: Any = Config
    for part in key:
        annotation = model.model_fields[part].annotation
        members = [annotation, *getattr(annotation, "__args__", ())]
        model = next((member for member in members if isinstance(member, type) and issubclass(member, BaseModel)), BaseModel)
    found: type[BaseModel] = model
    return found


def unreadable(error: Exception) -> str:
    """What the parsers do not tell of as a mistake in the text: numbers of thousands of digits, days that no month has."""
    said = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
    return f"a value cannot be read: {said}"
