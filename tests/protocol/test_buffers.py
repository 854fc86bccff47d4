"""Buffers are used again, by one owner at a time."""

import numpy as np
import pytest

from fedactors.protocol import BufferPool


def test_a_buffer_of_the_same_size_is_used_again():
    pool = BufferPool()
    small, large = pool.take(100), pool.take(200)
    pool.give(small)
    pool.give(large)
    assert pool.take(100) is small
    assert pool.take(100) is not small
    assert pool.nbytes == 200


def test_the_pool_keeps_the_last_few():
    pool = BufferPool(2)
    buffers = [np.empty(10, np.uint8) for _ in range(3)]
    for buffer in buffers:
        pool.give(buffer)
    assert pool.take(10) is buffers[2]
    assert pool.take(10) is buffers[1]
    assert pool.take(10) is not buffers[0]


def test_a_buffer_that_became_a_model_is_not_kept():
    pool = BufferPool()
    buffer = pool.take(10)
    buffer.flags.writeable = False
    pool.give(buffer)
    assert pool.nbytes == 0


def test_giving_a_buffer_twice_is_a_mistake():
    pool = BufferPool()
    buffer = pool.take(10)
    pool.give(buffer)
    with pytest.raises(AssertionError, match="twice"):
        pool.give(buffer)


def test_a_pool_grows_and_does_not_shrink():
    pool = BufferPool(1)
    pool.grow(3)
    pool.grow(2)
    for _ in range(4):
        pool.give(np.empty(10, np.uint8))
    assert pool.nbytes == 30
