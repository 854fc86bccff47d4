"""The committed code is what the schemas give, and the schemas keep their promises."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "schemas" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_code_is_fresh(generator):
    pytest.importorskip("grpc_tools")
    assert generator.main(["--check"]) == 0, "run python schemas/generate.py"


def test_a_stale_file_and_a_left_over_one_are_found(generator, monkeypatch, tmp_path):
    pytest.importorskip("grpc_tools")
    monkeypatch.setattr(generator, "TARGET", tmp_path)
    assert generator.main([]) == 0
    assert generator.stale() == []
    (tmp_path / "admin_pb2.py").write_text("old")
    (tmp_path / "gone_pb2.py").write_text("left over")
    assert generator.stale() == ["admin_pb2.py", "gone_pb2.py"]


def test_the_generated_code_demands_no_certain_protobuf():
    for path in (ROOT / "fedactors" / "protocol" / "_pb").glob("*_pb2.py"):
        assert "runtime_version" not in path.read_text()


def test_data_is_the_last_field_of_a_chunk():
    schema = (ROOT / "schemas" / "fedactors" / "v1" / "federation.proto").read_text()
    fields = re.findall(r"= (\d+);", schema[schema.index("message Chunk {") :].partition("}")[0])
    assert fields == ["1", "2", "15"]
