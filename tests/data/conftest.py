import pytest


@pytest.fixture(autouse=True)
def nothing_stays_held():
    yield
    in_memory._held.clear()
