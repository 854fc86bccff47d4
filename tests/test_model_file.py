from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from fedactors import model_file
from fedactors.errors import ModelError
from fedactors.model import GlobalModel


def test_a_model_comes_back_with_its_names_dtypes_values_and_order(tmp_path):
    weights = {
        "z.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a.half": np.array([1.5, -2.0], ml_dtypes.bfloat16),
        "m.count": np.array(7),
        "b.mask": np.array([True, False]),
    }
    model_file.save(GlobalModel.initial(weights), tmp_path / "model.safetensors")
    loaded = model_file.load(tmp_path / "model.safetensors")
    assert list(loaded) == list(weights)
    for name, array in weights.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)


def test_a_file_of_another_program_is_read_in_its_own_order(tmp_path):
    safetensors.numpy.save_file({"w": np.ones(2, np.float32)}, tmp_path / "model.safetensors")
    assert list(model_file.load(tmp_path / "model.safetensors")) == ["w"]


@pytest.mark.parametrize("content", [None, b"", b"not a model at all, but long enough to be one"])
def test_a_file_that_is_no_model_is_one_clear_error(tmp_path, content):
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"cannot read .*model\.safetensors: "):
        model_file.load(path)


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path):
    with pytest.raises(ModelError, match=r"cannot write .*none/model\.safetensors: "):
        model_file.save(GlobalModel.initial({"w": np.ones(1)}), tmp_path / "none" / "model.safetensors")
