"""Every decoder, on arbitrary bytes and on valid ones that were changed: what `nox -s fuzz` does for longer and with coverage."""

from __future__ import annotations

import importlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.__main__ import TARGETS

TARGET = {name: importlib.import_module(f"tests.fuzz.{name}") for name in TARGETS}
changes = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 4), st.binary(max_size=4)), min_size=1, max_size=4)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_valid_and_what_was_found_by_fuzzing_is_read_or_refused(name):
    for seed in TARGET[name].SEEDS:
        TARGET[name].check(seed)


@pytest.mark.parametrize("name", TARGETS)
@given(st.data())
def test_any_bytes_are_read_or_refused_by_the_documented_error(name, data):
    kind = data.draw(st.binary(min_size=1, max_size=1))
    TARGET[name].check(kind + data.draw(st.binary(max_size=200)))


@pytest.mark.parametrize("name", TARGETS)
@given(st.data())
def test_what_is_valid_but_for_a_few_bytes_is_read_or_refused(name, data):
    TARGET[name].check(changed(data.draw(st.sampled_from(TARGET[name].SEEDS)), data.draw(changes)))


def changed(seed: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """With other bytes in the place of some."""
    whole = bytearray(seed)
    for at, length, instead in changes:
        start = at % (len(whole) + 1)
        whole[start : start + length] = instead
    return bytes(whole)
