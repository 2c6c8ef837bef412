"""The tests' own device is as strict as it says."""

import pickle

import numpy as np
import pytest
from device import DeviceArray, download, upload, without, xp

from daskpar.backend.array import array_module

HOST = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def x() -> DeviceArray:
    return xp.asarray(HOST)


def _host_add(x):
    host = HOST.copy()
    host += x


def _host_set(x):
    HOST.copy()[:] = x


def _device_set(x):
    x[0] = HOST[0]


def _device_in_place(x):
    x += HOST


def _item_in_list(x):
    x[0, 0] = [1.0]


REFUSED = {
    "np.asarray": lambda x: np.asarray(x),
    "np.array": lambda x: np.array([x]),
    "np.exp": lambda x: np.exp(x),
    "np.add": lambda x: np.add(HOST, x),
    "np.sum": lambda x: np.sum(x),
    "np.concatenate": lambda x: np.concatenate([HOST, x]),
    "np.where": lambda x: np.where(x > 0, HOST, 0),
    "host + device": lambda x: HOST + x,
    "device + host": lambda x: x + HOST,
    "host @ device": lambda x: HOST.T @ x,
    "device @ host": lambda x: x @ HOST.T,
    "host == device": lambda x: HOST == x,
    "device < host": lambda x: x < HOST,
    "device * list": lambda x: x * [1, 2, 3],
    "host += device": _host_add,
    "device += host": _device_in_place,
    "host[:] = device": _host_set,
    "device[0] = host": _device_set,
    "device[0, 0] = list": _item_in_list,
    "device[host]": lambda x: x[np.array([0, 1])],
    "device[list]": lambda x: x[[0, 1]],
    "host[device]": lambda x: HOST[x > 0],
    "xp.maximum(device, host)": lambda x: xp.maximum(x, HOST),
    "xp.maximum(host, host)": lambda x: xp.maximum(HOST, HOST),
    "xp.concatenate": lambda x: xp.concatenate([x, HOST]),
    "xp.where": lambda x: xp.where(x > 0, x, HOST),
    "xp.sum(out=host)": lambda x: xp.sum(x, axis=0, out=np.zeros(3, np.float32)),
    "np.sum(out=device)": lambda x: np.sum(HOST, axis=0, out=x[0]),
    "xp.sum(where=)": lambda x: xp.sum(x, where=x > 0),
    "float": lambda x: float(x),
    "objects": lambda x: xp.asarray(["a"]),
    "hash": lambda x: hash(x),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_what_would_leave_the_device(name, x):
    with pytest.raises(TypeError):
        REFUSED[name](x)
    np.testing.assert_array_equal(x.get(), HOST)


def _assigned(a, m):
    a = a.copy()
    a[1] = a[0]
    a[:, 0] *= 2
    a[a > 3] = -1
    a -= 1
    return a


def _written(a, m):
    out = m.zeros(3, dtype=a.dtype)
    assert m.sum(a, axis=0, out=out) is out
    m.add.at(out, m.asarray([0, 0, 1]), 2.0)
    return out


ALLOWED = {
    "scalars": lambda a, m: 2 * a + 1.0 - a / np.float32(3) + True,
    "numpy scalar on the left": lambda a, m: np.float32(3) * a,
    "operators": lambda a, m: (-a @ a.T) ** 2 // 3,
    "logic": lambda a, m: ~(a > 2) & (a != 1) | (a == 4),
    "assignment": _assigned,
    "out": _written,
    "module": lambda a, m: m.concatenate([m.tanh(a), m.maximum(a, 0), m.where(a > 1, a, 0)], axis=1),
    "methods": lambda a, m: a.T.reshape(-1).astype("float64").copy().sum(),
    "reduction": lambda a, m: a.sum(axis=0, keepdims=True),
    "element": lambda a, m: a[1, 2],
    "index arrays": lambda a, m: a[..., m.asarray([2, 0])],
    "new axis": lambda a, m: a[:, None],
    "split": lambda a, m: m.split(a, 3, axis=1),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_computes_as_numpy_does(name, x):
    ours, plain = ALLOWED[name](x, xp), ALLOWED[name](HOST.copy(), np)
    for one, other in zip(ours, plain, strict=True) if isinstance(plain, list) else [(ours, plain)]:
        assert isinstance(one, DeviceArray)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one.get(), other)


def test_numbers_without_axes_are_arrays_that_can_be_asked(x):
    total = xp.sum(x)
    assert isinstance(total, DeviceArray) and total.shape == ()
    assert float(total) == 15.0 and int(total) == 15 and bool(total > 1)
    assert xp.argmax(x[0]).item() == 2


def test_views_share_memory_and_uploads_do_not():
    host = HOST.copy()
    x = xp.asarray(host)
    host[:] = 9
    x[0].reshape(-1)[:2] = 7
    x[1, 1] += 100
    np.testing.assert_array_equal(x.get(), [[7, 7, 2], [3, 104, 5]])


def test_a_dtype_can_be_forbidden(x):
    with without(np.float64), pytest.raises(TypeError, match="an array of float64 came up"):
        x + xp.arange(3)
    with without(np.float64):
        x * 2.0 + xp.arange(3, dtype=np.int8)
    assert (x + xp.arange(3)).dtype == np.float64


def test_it_is_its_own_module_and_travels(x):
    assert array_module(x) is xp
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(x)).get(), HOST)
    np.testing.assert_array_equal(download(upload({"a": [HOST]}))["a"][0], HOST)
    with pytest.raises(AttributeError, match=r"has no 'lexsort'; if CuPy has it, add it"):
        _ = xp.lexsort
