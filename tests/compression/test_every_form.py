"""What holds for every registered form of updates."""

import pytest

from fedactors import plugins
from fedactors.testing import check_form

GROUP = "fedactors.compression"
ERROR_MAX = {"bf16": 0.01, "fp16": 0.001, "int8": 0.05, "top_k": 1.0}
"""Of what training changed."""


@pytest.mark.parametrize("name", plugins.names(GROUP))
def test_form_conforms(name):
    check_form(plugins.build(GROUP, name, {}), error_max=ERROR_MAX.get(name, 1.0))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bf16", {"of": "weights"}),
        ("fp16", {"of": "weights"}),
        ("int8", {"block": 16, "rounding": "nearest", "error_feedback": True}),
        ("int8", {"block": 131072}),
        ("top_k", {"fraction": 1e-9}),
        ("top_k", {"fraction": 1.0, "error_feedback": False}),
    ],
    ids=str,
)
def test_form_conforms_with_options(name, options):
    check_form(plugins.build(GROUP, name, options))
