"""Layers that change shapes, or drop whole channels."""

from daskpar.nn.layers.global_pool import GlobalAvgPool
from daskpar.nn.layers.pad import Crop, Pad
from daskpar.nn.layers.spatial_dropout import SpatialDropout
from layer_rows.row import Row

ROWS = [
    Row("global average", GlobalAvgPool(), (3, 5, 2)),
    Row("global average of one pixel", GlobalAvgPool(), (1, 1, 3)),
    Row("global average of one channel", GlobalAvgPool(), (1, 5, 1)),
    Row("global average of a sequence", GlobalAvgPool(), (4, 3)),
    Row("spatial dropout", SpatialDropout(0.5), (3, 2, 9)),
    Row("spatial dropout of one row of pixels", SpatialDropout(0.3), (1, 5, 20)),
    Row("spatial dropout of a sequence", SpatialDropout(0.25), (4, 17)),
    Row("spatial dropout of none", SpatialDropout(0.0), (2, 3, 4)),
    Row("pad", Pad(1, 2), (3, 5, 2)),
    Row("pad one edge", Pad((0, 2), (3, 0)), (1, 4, 1)),
    Row("pad nothing", Pad(0, 0), (2, 3, 1)),
    Row("crop", Crop(1, 2), (3, 5, 2)),
    Row("crop one edge", Crop((0, 2), (3, 0)), (3, 4, 1)),
    Row("crop nothing", Crop(0, 0), (1, 3, 2)),
]
