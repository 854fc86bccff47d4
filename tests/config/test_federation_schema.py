from __future__ import annotations

import json
from pathlib import Path

from fedactors.config import json_schema
from fedactors.config.tables import Config

COMMITTED = Path(__file__).parents[2] / "schemas" / "federation.schema.json"


def test_the_committed_schema_is_fresh() -> None:
    assert json.loads(COMMITTED.read_text()) == json_schema(), "python -m fedactors.config > schemas/federation.schema.json"


def test_the_schema_lists_the_built_in_plugins_and_their_options() -> None:
    tables = json_schema()["$defs"]
    assert "synchronous" in tables["ProtocolTable"]["properties"]["name"]["enum"]
    assert "fedavg" in tables["AggregationTable"]["properties"]["rule"]["enum"]
    cases = tables["ProtocolTable"]["allOf"]
    options = {case["if"]["properties"]["name"]["const"]: case["then"]["properties"]["options"] for case in cases}
    assert not options["synchronous"]["additionalProperties"]
    assert "seconds" in options["synchronous"]["properties"]["round_timeout_s"]["description"]


def test_every_key_is_described() -> None:
    schema = json_schema()
    tables = [schema, *(table for name, table in schema["$defs"].items() if name.endswith("Table"))]
    undescribed = [
        key
        for table in tables
        for key, value in table["properties"].items()
        if "description" not in value and "$ref" not in value
    ]
    assert undescribed == []
    assert set(schema["properties"]) == set(Config.model_fields)
