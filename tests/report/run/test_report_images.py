"""Images of a report: what a decoder of PNG reads is what was written."""

from __future__ import annotations

import io

import numpy as np
import pytest

from daskpar.report.run.images import as_pixels, heat, is_image, picture, png, signed, value_range


@pytest.mark.parametrize("shape", [(5, 3), (4, 7, 3)])
def test_png(shape: tuple[int, ...]) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert (np.asarray(image.open(io.BytesIO(png(pixels)))) == pixels).all()


def test_the_text_of_a_picture_is_escaped() -> None:
    html = picture(np.zeros((2, 4), np.uint8), '"><script>', 100)
    assert "<script>" not in html and 'width="100" height="50"' in html


def test_colours() -> None:
    assert signed(np.array([[-2.0, 0.0, 2.0]]), 2.0)[0].tolist() == [[33, 102, 172], [247] * 3, [178, 24, 43]]
    assert heat(np.array([[0.0, 1.0, 9.0]]), 1.0)[0].tolist() == [[13, 8, 60], *[[252, 255, 200]] * 2]
    assert heat(np.zeros((1, 1)), 0.0)[0, 0].tolist() == [13, 8, 60]


def test_large_images_are_reduced() -> None:
    image = np.zeros((130, 65, 1))
    image[:3, :3] = 1.0
    pixels = as_pixels(image, 0.0, 1.0)
    assert pixels.shape == (43, 21) and pixels[0, 0] == 255 and pixels.sum() == 255


def test_ranges() -> None:
    assert value_range(np.array([0, 200], np.uint8)) == (0.0, 255.0)
    assert value_range(np.array([0, 16], np.uint8)) == (0.0, 16.0)
    assert value_range(np.array([-1.0, np.nan, 3.0])) == (-1.0, 3.0)
    assert is_image((8, 8, 1)) and is_image((8, 8, 3))
    assert not is_image((8, 8, 2)) and not is_image((8, 8)) and not is_image((1, 8, 1))
