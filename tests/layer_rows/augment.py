"""Layers that vary images."""

from daskpar.nn.layers.augment import Cutout, Normalise, RandomCrop, RandomFlip, RandomShift
from layer_rows.row import Row

ROWS = [
    Row("flip", RandomFlip(), (3, 5, 2)),
    Row("flip one row of pixels", RandomFlip(), (1, 4, 1)),
    Row("flip upside down", RandomFlip(horizontal=False, vertical=True), (3, 4, 2)),
    Row("flip both ways", RandomFlip(vertical=True), (3, 4, 2)),
    Row("flip nothing", RandomFlip(horizontal=False), (2, 3, 1)),
    Row("shift", RandomShift(2), (3, 5, 2)),
    Row("shift one channel", RandomShift(1), (2, 2, 1)),
    Row("random crop", RandomCrop(2, 3), (4, 5, 2)),
    Row("random crop with padding", RandomCrop(4, 4, padding=2), (4, 4, 1)),
    Row("random crop larger than the image", RandomCrop(5, 3, padding=2), (2, 3, 1)),
    Row("random crop of one row of pixels", RandomCrop(1, 3), (1, 5, 1)),
    Row("random crop of all", RandomCrop(3, 4), (3, 4, 2)),
    Row("cutout", Cutout(2), (4, 5, 2)),
    Row("cutout of one pixel", Cutout(1), (1, 3, 1)),
    Row("cutout larger than the image", Cutout(9), (3, 4, 1)),
    Row("normalise", Normalise(0.5, 0.25), (3, 4, 2)),
    Row("normalise each channel", Normalise((0.1, 0.2, 0.3), (1.0, 2.0, 3.0)), (2, 3, 3)),
    Row("normalise features", Normalise((0.1, -0.2), 3.0), (2,)),
]
