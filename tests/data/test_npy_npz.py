"""npy and npz files mapped into memory, arrays given from Python, and pairs that are refused."""

import pickle
import zipfile

import numpy as np
import pytest

from daskpar.data import Npy, Npz, hold
from daskpar.data.check import check_pair
from daskpar.data.files import open_npy
from daskpar.data.source import Source
from daskpar.errors import InputError

X = np.random.default_rng(0).standard_normal((20, 3, 2)).astype(np.float32)
Y = np.arange(20) % 4


def saved_npy(folder, x=X, y=Y):
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    return Npy(str(folder / "x.npy"), str(folder / "y.npy"))


def saved_npz(folder, x=X, y=Y, save=np.savez):
    save(folder / "a.npz", x=x, y=y, more=np.zeros(3))
    return Npz(str(folder / "a.npz"))


def mapped(array):
    while array is not None and not isinstance(array, np.memmap):
        array = array.base
    return array is not None


@pytest.mark.parametrize(
    "make, is_mapped",
    [
        (saved_npy, True),
        (saved_npz, True),
        (lambda folder: saved_npz(folder, save=np.savez_compressed), False),
        (lambda folder: saved_npz(folder, x=np.asfortranarray(X)), True),
        (lambda folder: saved_npy(folder, x=np.asfortranarray(X)), True),
    ],
    ids=["npy", "npz", "npz-compressed", "npz-fortran", "npy-fortran"],
)
def test_files(tmp_path, make, is_mapped):
    source = make(tmp_path)
    for array, true in zip(source.arrays(), (X, Y), strict=True):
        assert isinstance(array, np.memmap) == is_mapped
        assert array.dtype == true.dtype
        np.testing.assert_array_equal(array, true)
    assert (source.rows, source.x_shape, source.y_shape, source.y_dtype) == (20, (3, 2), (), Y.dtype)
    for rows in (slice(3, 9), np.array([7, 0, 7])):
        x, y = source.read(rows)
        np.testing.assert_array_equal(x, X[rows])
        np.testing.assert_array_equal(y, Y[rows])
    assert pickle.loads(pickle.dumps(source)) == source


def test_npz_with_a_comment_and_extra_fields(tmp_path):
    """What lies before an array in the file is not what the directory at the end says."""
    path = tmp_path / "a.npz"
    for name, array in (("x", X), ("y", Y)):
        np.save(tmp_path / name, array)
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"made by hand"
        for name in ("x", "y"):
            info = zipfile.ZipInfo(f"{name}.npy")
            info.extra = b"\x99\x99\x04\x00abcd"
            archive.writestr(info, (tmp_path / f"{name}.npy").read_bytes())
    x, y = Npz(str(path)).arrays()
    assert mapped(x) and mapped(y)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)


@pytest.mark.parametrize("save", [saved_npy, saved_npz])
def test_a_file_written_anew_is_opened_anew(tmp_path, save):
    assert save(tmp_path).rows == 20
    for path in tmp_path.iterdir():
        path.unlink()
    assert save(tmp_path, x=X[:5], y=Y[:5]).rows == 5


def zipped(folder, **members):
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return Npz(str(folder / "a.npz"))


def cut_short(folder):
    source = saved_npz(folder)
    path = folder / "a.npz"
    path.write_bytes(path.read_bytes()[:500])
    return source


def overwritten(folder):
    source = saved_npz(folder, np.random.default_rng(1).random((300, 4)), np.arange(300), np.savez_compressed)
    path = folder / "a.npz"
    raw = path.read_bytes()
    path.write_bytes(raw[:200] + b"\xff" * 200 + raw[400:])
    return source


def text(folder, name):
    (folder / name).write_text("x,y\n1,2\n")
    return folder / name


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda f: Npz(str(f / "a.npz")), "a.npz: no such file; expected a .npz file with arrays x and y"),
        (lambda f: Npy(str(f / "x.npy"), str(f / "y.npy")), "x.npy: no such file; expected a .npy file"),
        (lambda f: Npz(str(text(f, "a.npz"))), "a.npz: not a readable .npz file (File is not a zip file)"),
        (lambda f: Npy(*[str(text(f, "x.npy"))] * 2), "x.npy: not a readable .npy file (the magic string"),
        (lambda f: Npy(saved_npz(f).path, saved_npz(f).path), "a.npz: not a readable .npy file"),
        (lambda f: zipped(f, x_npy=b"", z_npy=b""), "a.npz: holds x, z; expected arrays x and y"),
        (lambda f: zipped(f, x_txt="1", y_txt="2"), "a.npz: holds x.txt, y.txt; expected arrays x and y"),
        (lambda f: zipped(f), "a.npz: holds nothing; expected arrays x and y"),
        (lambda f: zipped(f, x_npy=b"?", y_npy=b"?"), "a.npz: not a readable .npz file"),
        (cut_short, "a.npz: not a readable .npz file (File is not a zip file)"),
        (overwritten, "a.npz: not a readable .npz file (Error"),
        (lambda f: saved_npz(f, x=np.array([{}] * 20)), "Object arrays cannot be loaded"),
        (lambda f: saved_npy(f, x=np.array([{}] * 20)), "x.npy: not a readable .npy file"),
        (lambda f: saved_npz(f, y=Y[:-1]), "a.npz: 20 rows of examples but 19 labels; expected one a row"),
        (lambda f: saved_npy(f, y=Y[:-1]), "x.npy: 20 rows of examples but 19 labels; expected one a row"),
        (lambda f: saved_npz(f, X[:0], Y[:0]), "a.npz: zero rows; expected at least one example"),
        (lambda f: saved_npy(f, X[:0], Y[:0]), "x.npy: zero rows; expected at least one example"),
        (lambda f: saved_npz(f, y=np.float64(3)), "a.npz: targets must have an axis of rows, got a single"),
        (lambda f: saved_npz(f, x=np.array(["a"] * 20)), "got examples of <U1: texts; encode"),
    ],
)
def test_files_refused(tmp_path, make, message):
    source = make(tmp_path)
    with pytest.raises(InputError) as error:
        source.arrays()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_truncated_npy(tmp_path):
    saved_npy(tmp_path)
    path = tmp_path / "x.npy"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"x\.npy: not a readable \.npy file"):
        open_npy(str(path))


@pytest.mark.parametrize(
    "x, y, message",
    [
        (np.zeros((3, 2)), np.zeros(4), "here: 3 rows of examples but 4 labels; expected one a row"),
        (np.zeros((0, 2)), np.zeros(0), "here: zero rows; expected at least one example"),
        (np.array(["a", "b"]), np.zeros(2), "here: expected numbers, got examples of <U1: texts;"),
        (np.zeros(2), np.array([None, None]), "here: expected numbers, got targets of object"),
        (np.zeros(2, "M8[s]"), np.zeros(2), "here: expected numbers, got examples of datetime64[s]"),
        (np.zeros(2, complex), np.zeros(2), "here: expected numbers, got examples of complex128"),
        (np.float64(1), np.zeros(1), "here: examples must have an axis of rows, got a single value"),
        (np.zeros(1), np.float64(1), "here: targets must have an axis of rows, got a single value"),
        ([1, 2], np.zeros(2), "here: examples must have an axis of rows"),
    ],
)
def test_pairs_refused(x, y, message):
    with pytest.raises(InputError) as error:
        check_pair(x, y, "here")
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool"])
def test_pairs_accepted(dtype):
    check_pair(np.zeros((2, 3), dtype), np.zeros(2, dtype), "here")


@pytest.mark.parametrize(
    "y, fits",
    [
        (np.array([0, 1]), True),
        (np.array([0, 1], np.uint8), True),
        (np.array([0.0, 1.0]), False),
        (np.array([[0], [1]]), True),
        (np.array([[0.5], [1]]), False),
    ],
)
def test_labels_are_integer_classes(y, fits):
    source = hold(np.zeros((2, 1)), y)
    if fits:
        np.testing.assert_array_equal(source.labels(), y.ravel())
        return
    with pytest.raises(InputError, match="distribution stratified needs integer classes"):
        source.labels()


def test_held_in_this_process():
    source = hold(X, Y.tolist())
    assert len(pickle.dumps(source)) < 200
    same = pickle.loads(pickle.dumps(source))
    x, y = same.arrays()
    assert x is X
    np.testing.assert_array_equal(y, Y)
    source.release()
    source.release()
    with pytest.raises(InputError, match="these arrays were released, or belong to another process"):
        same.arrays()


def test_held_through_files(tmp_path):
    source = hold(X, Y, tmp_path)
    assert isinstance(source, Npy)
    assert all(isinstance(array, np.memmap) for array in source.arrays())
    np.testing.assert_array_equal(source.read(slice(0, 20))[0], X)
    other = hold(X[:3], Y[:3], tmp_path)
    assert (source.rows, other.rows, len(list(tmp_path.iterdir()))) == (20, 3, 4)


@pytest.mark.parametrize("through_files", [False, True])
def test_refused_arrays_are_not_held(tmp_path, through_files):
    with pytest.raises(InputError, match="train: 20 rows of examples but 3 labels"):
        hold(X, Y[:3], tmp_path if through_files else None, "train")
    assert list(tmp_path.iterdir()) == []


def test_the_contract_itself():
    with pytest.raises(TypeError, match="a Source must implement it"):
        Source().arrays()
