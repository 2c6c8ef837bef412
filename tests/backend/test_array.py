"""Which module an array belongs to."""

import sys

import numpy as np
import pytest
from device import xp

from daskpar.backend.array import array_module, is_floating, module_named, to_numpy


def test_an_array_names_its_module():
    assert array_module(np.zeros(2)) is np
    assert array_module(xp.zeros(2)) is xp
    assert module_named("numpy") is np


def test_a_module_is_imported_only_when_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", xp)
    assert module_named("cupy") is xp


@pytest.mark.parametrize("value, kind", [([1, 2], "list"), (3.0, "float"), (None, "NoneType")])
def test_what_is_no_array_is_refused(value, kind):
    with pytest.raises(TypeError, match=f"^expected an array, got {kind}$"):
        array_module(value)


def test_to_numpy_copies_from_a_device_only():
    host = np.arange(3)
    assert to_numpy(host) is host
    np.testing.assert_array_equal(to_numpy(xp.asarray(host)), host)


@pytest.mark.parametrize(
    "dtype, floating", [("f2", True), ("f4", True), ("f8", True), ("i4", False), ("u1", False), ("?", False)]
)
@pytest.mark.parametrize("module", [np, xp], ids=["numpy", "device"])
def test_is_floating(dtype, floating, module):
    assert is_floating(module.zeros(2, dtype=dtype)) is floating
