"""The memory of versions that are gone."""

import numpy as np

from fedactors.aggregation._scratch import new_version


def address(array):
    return array.__array_interface__["data"][0]


def test_a_version_gets_the_memory_of_one_that_nobody_has_a_view_of_any_more():
    first = new_version(4096)
    view, at = first[64:].view(np.float32), address(first)
    del first
    second = new_version(4096)
    assert not np.shares_memory(view, second)
    view.flags.writeable = False
    del view
    third = new_version(4096)
    assert address(third) == at
    assert third.flags.writeable


def test_a_version_of_another_size_gets_memory_of_its_own():
    at = address(new_version(1024))
    other = new_version(2048)
    assert other.nbytes == 2048
    assert address(other) != at
