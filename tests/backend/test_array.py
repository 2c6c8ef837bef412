"""Which module an array belongs to, and how arrays travel."""

import sys
from typing import NamedTuple

import numpy as np
import pytest
from device import xp

from daskpar.backend import array
from daskpar.backend.array import (
    PROCESS_DEFAULT,
    aligned,
    array_module,
    each_array,
    is_floating,
    module_named,
    native,
    pickle_via_host,
    to_numpy,
)


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


class Pair(NamedTuple):
    one: object
    many: object

    def __reduce__(self):
        return pickle_via_host(self)


def test_arrays_are_found_within_plain_containers():
    value = Pair(np.ones(2), {"a": [np.ones(1), "text"], "b": (np.float32(3), None)})
    doubled = each_array(lambda x: 2 * x, value)
    assert isinstance(doubled, Pair) and doubled.many["b"] == (3, None)  # a number is no array
    np.testing.assert_array_equal(doubled.one, [2, 2])
    np.testing.assert_array_equal(doubled.many["a"][0], [2])
    assert value.one[0] == 1 and doubled.many["a"][1] == "text"


def test_what_travels_arrives_on_the_module_of_the_process(monkeypatch):
    monkeypatch.setitem(sys.modules, "fake_cupy", xp)
    rebuild, arguments = Pair(xp.ones(2), [np.zeros(1)]).__reduce__()
    assert isinstance(arguments[1][0], np.ndarray)  # on its way it is on the host
    assert isinstance(rebuild(*arguments).one, np.ndarray)
    monkeypatch.setattr(array, "_here", "fake_cupy")
    assert module_named(PROCESS_DEFAULT) is xp
    arrived = rebuild(*arguments)
    assert isinstance(arrived, Pair)
    assert {type(a).__name__ for a in (arrived.one, arrived.many[0])} == {"DeviceArray"}


def test_only_arrays_at_odd_addresses_are_copied():
    fine = np.arange(4, dtype="f4")
    odd = np.frombuffer(b"x" + fine.tobytes(), np.uint8)[1:].view("f4")
    assert aligned(fine) is fine and not odd.flags.aligned
    assert aligned(odd).flags.aligned and aligned(odd).tolist() == [0, 1, 2, 3]


def test_native_byte_order():
    fine, other = np.arange(3, dtype="<f4"), np.arange(3, dtype=">f4")
    assert native(fine) is fine and native(other).dtype.isnative and native(other).tolist() == [0, 1, 2]
