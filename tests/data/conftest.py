import pytest

from daskpar.data import held


@pytest.fixture(autouse=True)
def nothing_stays_held():
    yield
    held._held.clear()
