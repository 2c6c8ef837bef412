"""Folders of pictures: decoded row by row, in sizes and modes of their own, and what is damaged is named."""

import pickle
import sys

import numpy as np
import pytest

from daskpar import Trainer
from daskpar.cluster.executor import THREADED
from daskpar.data import Images, Split, split
from daskpar.data.images import read_image
from daskpar.errors import InputError

Image = pytest.importorskip("PIL.Image", reason="needs the images extra")

WHITE, RED = (255, 255, 255), (255, 0, 0)


@pytest.fixture
def folder(tmp_path):
    """Six red pictures and four white ones, in many formats, sizes and modes."""
    endings = ["png", "bmp", "ppm", "webp", "PNG", "png"]
    for name, colour, n in (("white", WHITE, 4), ("red", RED, 6)):
        (tmp_path / name).mkdir()
        for i in range(n):
            Image.new("RGB", (8 + i, 6), colour).save(tmp_path / name / f"{i}.{endings[i]}", lossless=True)
    (tmp_path / "red" / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "README").write_text("no class")
    return tmp_path


def test_pictures(folder):
    source = Images(str(folder), (5, 7))
    assert (source.rows, source.x_shape, source.y_shape, source.y_dtype) == (10, (5, 7, 3), (), np.int32)
    assert source.names == ("red", "white") and source.max_value == 255 and not source.tokens
    x, y = source.arrays()
    np.testing.assert_array_equal(y, [0] * 6 + [1] * 4)
    assert x.dtype == np.uint8
    np.testing.assert_array_equal(
        x, np.where(y[:, None, None, None] == 1, WHITE, RED) * np.ones((5, 7, 1), int)
    )
    for rows in (slice(4, 8), np.array([9, 0, 9])):
        some, labels = source.read(rows)
        np.testing.assert_array_equal(some, x[rows])
        np.testing.assert_array_equal(labels, y[rows])
    assert pickle.loads(pickle.dumps(source)) == source
    np.testing.assert_array_equal(source.labels(), y)


def test_only_the_rows_that_are_read_are_decoded(folder):
    (folder / "red" / "3.webp").write_bytes(b"damaged")
    source = Images(str(folder), (5, 7))
    assert len(source.read(slice(0, 3))[0]) == 3
    with pytest.raises(InputError, match=r"red/3\.webp: not a readable image"):
        source.read(slice(3, 4))


def test_height_comes_first_and_pixels_stay_where_they_are(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", (4, 9), 3), pixels)
    assert read_image(tmp_path / "a.png", (9, 4), 1).shape == (9, 4, 1)
    left = pixels.copy()
    left[:, :5], left[:, 5:] = 255, 0
    Image.fromarray(left).save(tmp_path / "a.png")
    half = read_image(tmp_path / "a.png", (2, 3), 1)[..., 0]
    assert (half[:, 0] > half[:, 1]).all() and (half[:, 1] > half[:, 2]).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_modes(tmp_path, mode, channels):
    Image.new("RGB", (3, 2), WHITE).convert(mode).save(tmp_path / "a.tiff")
    found = read_image(tmp_path / "a.tiff", (2, 3), channels)
    assert found.shape == (2, 3, channels) and (found == 255).all()


def test_turned_as_the_camera_says(tmp_path):
    picture = Image.new("RGB", (4, 2), RED)
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.png", exif=exif)
    picture.putpixel((0, 0), WHITE)
    picture.save(tmp_path / "a.png", exif=exif)
    found = read_image(tmp_path / "a.png", (4, 2), 3)
    assert found[0, 1].tolist() == list(WHITE)


def test_training(folder, processes_client):
    """On workers that are processes: each decodes its own rows. Stratified parts know the classes."""
    train, validation, _ = split(Images(str(folder), (4, 4)), 0.2, 0.0, seed=0, stratified=True)
    trained = []
    for client in (THREADED, processes_client):
        trainer = Trainer(
            ["flatten", {"dense": 2}], batch=4, epochs=20, optimizer={"sgd": 0.5}, client=client
        )
        trainer.distribution, trainer.metrics = "stratified", ["accuracy"]
        trained.append(trainer.fit(train, validation=validation))
    assert trained[0].parameters_sha256_ == trained[1].parameters_sha256_
    assert trained[0].names_ == ("red", "white")
    assert trained[0].evaluate(Split(Images(str(folder), (4, 4))))["accuracy"] == 1


@pytest.mark.parametrize(
    "spoil, message",
    [
        (
            lambda f: f / "none",
            "{}/none: no such folder; expected one with a folder of images for each class",
        ),
        (lambda f: f / "red", "{}/red: no folders of classes in it; expected e.g. {}/red/cat/1.png"),
        (
            lambda f: (f / "blue").mkdir() or f,
            "{}/blue: no images in it; expected files such as .png, .jpg, .jpeg, .bmp, .ppm, .webp",
        ),
    ],
)
def test_folders_refused(folder, spoil, message):
    with pytest.raises(InputError) as error:
        Images(str(spoil(folder)), (4, 4)).labels()
    assert str(error.value) == message.replace("{}", str(folder))


@pytest.mark.parametrize("spoil", [lambda raw: b"", lambda raw: b"GIF89a", lambda raw: raw[: len(raw) // 2]])
def test_damaged_pictures(tmp_path, spoil):
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError) as error:
        read_image(path, (4, 4), 3)
    assert str(error.value).startswith(f"{path}: not a readable image (") and "\n" not in str(error.value)


def test_deep_pictures_are_not_cut_off(tmp_path):
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: I;16 pixels; expected images of 8 bits a channel"):
        read_image(tmp_path / "a.png", (4, 4), 1)


def test_without_pillow(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(InputError) as error:
        Images(str(folder), (4, 4)).labels()
    assert str(error.value) == "data.source=images needs Pillow: pip install 'daskpar[images]'"
