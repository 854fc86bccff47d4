import pytest

from tests.cli.steady import written


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with a small federation's files."""
    return written(tmp_path_factory.mktemp("steady"))
