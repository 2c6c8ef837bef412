"""What images become, and that draws go by the row of the global batch alone."""

import math
from dataclasses import replace

import numpy as np
import pytest

from daskpar.errors import InputError
from daskpar.nn import Context
from daskpar.nn.layers.augment import Cutout, Normalise, RandomCrop, RandomFlip, RandomShift
from daskpar.nn.layers.pad import Pad

CTX = Context(training=True, seed=3, step=5, row=11, path=(2,))
DRAWING = [RandomFlip(vertical=True), RandomShift(2), RandomCrop(6, 5, padding=2), Cutout(3)]
ROWS = 4000

drawing = pytest.mark.parametrize("layer", DRAWING, ids=lambda layer: layer.kind)


def images(rows, height=6, width=7, channels=2):
    """No two pixels alike, none zero."""
    count = rows * height * width * channels
    return np.arange(1.0, count + 1).reshape(rows, height, width, channels)


def near(share, expected, count=ROWS):
    """Within 4.5 standard deviations of the mean of `count` coins."""
    assert abs(share - expected) < 4.5 * math.sqrt(expected * (1 - expected) / count), (share, expected)


@drawing
@pytest.mark.parametrize("cuts", [(1,), (20, 21, 33), tuple(range(1, 50))], ids=len)
def test_any_cut_of_the_rows_draws_the_same(layer, cuts):
    x = images(50)
    whole, _ = layer.forward({}, x, CTX)
    parts = [
        layer.forward({}, part, replace(CTX, row=CTX.row + start))[0]
        for start, part in zip((0, *cuts), np.split(x, cuts), strict=True)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@drawing
@pytest.mark.parametrize("change", [{"seed": 1}, {"step": 1}, {"path": (1,)}, {"row": 1000}], ids=str)
def test_another_pass_draws_otherwise(layer, change):
    x = np.repeat(images(1), 400, axis=0)
    one, other = (layer.forward({}, x, ctx)[0] for ctx in (CTX, replace(CTX, **change)))
    same = np.mean((one == other).all(axis=(1, 2, 3)))
    assert same < (0.35 if layer.kind == "random_flip" else 0.15)  # four flips, a quarter alike


@drawing
def test_rows_draw_for_themselves(layer):
    y, _ = layer.forward({}, np.repeat(images(1), 50, axis=0), CTX)
    assert len(np.unique(y.reshape(50, -1), axis=0)) >= (4 if layer.kind == "random_flip" else 15)


@drawing
def test_backward_is_the_adjoint(layer):
    """⟨forward(x), dy⟩ = ⟨x, backward(dy)⟩, for layers that are linear in x."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 6, 7, 2))
    y, saved = layer.forward({}, x, CTX)
    dy = rng.standard_normal(y.shape)
    dx, grads = layer.backward({}, saved, dy, CTX)
    assert grads == {}
    np.testing.assert_allclose(np.sum(x * dx, (1, 2, 3)), np.sum(y * dy, (1, 2, 3)), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("layer", [RandomFlip(vertical=True), RandomShift(2), Cutout(3), RandomCrop(6, 7, 2)])
def test_leaves_what_is_not_training(layer):
    x = images(3)
    y, saved = layer.forward({}, x, Context())
    assert y is x and layer.backward({}, saved, x, Context())[0] is x


@pytest.mark.parametrize("horizontal", [True, False])
@pytest.mark.parametrize("vertical", [True, False])
def test_flips_are_mirror_images_half_the_time(horizontal, vertical):
    one = images(1)
    y, _ = RandomFlip(horizontal, vertical).forward({}, np.repeat(one, ROWS, axis=0), CTX)
    kinds = [one, one[:, :, ::-1], one[:, ::-1], one[:, ::-1, ::-1]]
    shares = [np.mean((y == kind).all(axis=(1, 2, 3))) for kind in kinds]
    assert sum(shares) == 1
    for share, across, down in zip(shares, (0, 1, 0, 1), (0, 0, 1, 1), strict=True):
        expected = (0.5 if horizontal else 1 - across) * (0.5 if vertical else 1 - down)
        near(share, expected) if 0 < expected < 1 else np.testing.assert_equal(share, expected)


def test_shifts_are_by_each_number_of_pixels_alike():
    x = np.repeat(images(1), ROWS, axis=0)
    y, _ = RandomShift(2).forward({}, x, CTX)
    framed = np.pad(x[0], ((2, 2), (2, 2), (0, 0)))
    shares = [
        np.mean((y == framed[top : top + 6, left : left + 7]).all(axis=(1, 2, 3)))
        for top in range(5)
        for left in range(5)
    ]
    assert sum(shares) == pytest.approx(1)
    for share in shares:
        near(share, 1 / 25)


@pytest.mark.parametrize("padding", [0, 2])
def test_crops_are_from_each_place_alike(padding):
    x = np.repeat(images(1), ROWS, axis=0)
    y, _ = RandomCrop(5, 4, padding).forward({}, x, CTX)
    framed = Pad(padding, padding).forward({}, x[:1], CTX)[0][0]
    places = [(top, left) for top in range(framed.shape[0] - 4) for left in range(framed.shape[1] - 3)]
    shares = [
        np.mean((y == framed[top : top + 5, left : left + 4]).all(axis=(1, 2, 3))) for top, left in places
    ]
    assert sum(shares) == pytest.approx(1)
    for share in shares:
        near(share, 1 / len(places))


def test_crops_are_of_the_centre_when_not_training():
    x = images(2, 6, 7, 1)
    y, _ = RandomCrop(4, 4, padding=3).forward({}, x, Context())
    np.testing.assert_array_equal(y, x[:, 1:5, 1:5])
    y, _ = RandomCrop(8, 7, padding=1).forward({}, x, Context())
    np.testing.assert_array_equal(y, np.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0))))


@pytest.mark.parametrize("size", [1, 2, 3, 20])
def test_cutouts_are_squares_around_any_pixel(size):
    x = images(ROWS)
    y, _ = Cutout(size).forward({}, x, CTX)
    gone = (y == 0).all(axis=3)
    np.testing.assert_array_equal(y, np.where(gone[..., None], 0, x))
    rows, columns = np.arange(6), np.arange(7)
    squares = [
        np.outer(
            (rows >= i - size // 2) & (rows < i - size // 2 + size),
            (columns >= j - size // 2) & (columns < j - size // 2 + size),
        )
        for i in rows
        for j in columns
    ]
    expected = np.mean(squares, axis=0)
    np.testing.assert_allclose(gone.mean(0), expected, atol=4.5 * math.sqrt(0.25 / ROWS))
    assert {square.tobytes() for square in gone} <= {square.tobytes() for square in squares}
    if size == 1:
        for share in gone.mean(0).ravel():
            near(share, 1 / 42)


def test_normalise_is_its_formula_in_training_and_out_of_it():
    x = np.array([[[[1.0, 10.0], [3.0, 30.0]]]])
    for ctx in (CTX, Context()):
        assert Normalise(1.0, 2).forward({}, x, ctx)[0].tolist() == [[[[0.0, 4.5], [1.0, 14.5]]]]
        y, saved = Normalise([1.0, 10.0], (2.0, 5.0)).forward({}, x, ctx)
        assert y.tolist() == [[[[0.0, 0.0], [1.0, 4.0]]]]
        dx, _ = Normalise([1.0, 10.0], (2.0, 5.0)).backward({}, saved, y, ctx)
        assert dx.tolist() == [[[[0.0, 0.0], [0.5, 0.8]]]]
    assert hash(Normalise([1.0], np.ones(1))) == hash(Normalise((1.0,), (1.0,)))


def init(layer, shape):
    return lambda: layer.init(np.random.default_rng(0), shape)


REFUSED = [
    (lambda: RandomShift(0), "random_shift.pixels=0 must be above zero"),
    (lambda: RandomCrop(0, 1), "random_crop.rows=0 must be above zero"),
    (lambda: RandomCrop(1, 1, -1), "random_crop.padding=-1 must be at least 0"),
    (lambda: Cutout(0), "cutout.size=0 must be above zero"),
    (lambda: Normalise(0.0, 0), "normalise.deviation=0 must be above zero"),
    (lambda: Normalise(0.0, (1.0, -1.0)), "normalise.deviation=-1.0 must be above zero"),
    (
        init(RandomShift(3), (3, 8, 1)),
        "random_shift.pixels=3 could shift an image of shape (3, 8, 1) out of sight; it must be below 3",
    ),
    (
        init(RandomCrop(3, 8, 1), (3, 5, 1)),
        "random_crop.columns=8 is more than the 7 that shape (3, 5, 1) has with padding=1; use less, or "
        "more padding",
    ),
    (
        init(Normalise((0.5, 0.5), 1), (4, 4, 3)),
        "normalise.mean has 2 numbers for the 3 channels of shape (4, 4, 3); give one number, "
        "or one for each channel",
    ),
    *(
        (
            init(layer, (64,)),
            f"{layer.kind}: expected images (height, width, channels), got shape (64,); put it before a "
            "flatten, and give images of one colour a channel axis of length 1",
        )
        for layer in DRAWING
    ),
]


@pytest.mark.parametrize("make, message", REFUSED, ids=[message for _, message in REFUSED])
def test_refuses(make, message):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == message
