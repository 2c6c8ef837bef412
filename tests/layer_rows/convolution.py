"""Convolutions and pooling."""

from daskpar.nn.layers.conv1d import Conv1d
from daskpar.nn.layers.conv_transpose import ConvTranspose2d
from daskpar.nn.layers.convolution import Conv2d
from daskpar.nn.layers.pooling import AvgPool, MaxPool
from layer_rows.row import Row

ROWS = [
    Row("conv2d", Conv2d(4), (5, 4, 3)),
    Row("conv2d same", Conv2d(3, padding="same"), (4, 5, 2)),
    Row("conv2d strided", Conv2d(3, stride=2, padding=1), (5, 4, 2)),
    Row("conv2d strided same", Conv2d(2, kernel=(3, 2), stride=(2, 3), padding="same"), (5, 7, 2)),
    Row("conv2d stride beyond its kernel", Conv2d(2, kernel=1, stride=3), (5, 4, 2)),
    Row("conv2d dilated", Conv2d(2, kernel=(2, 3), dilation=(3, 2)), (5, 6, 2)),
    Row("conv2d in groups", Conv2d(4, kernel=2, groups=2), (3, 4, 6)),
    Row("conv2d depthwise", Conv2d(6, kernel=3, groups=3, padding=1), (3, 3, 3)),
    Row("conv2d of one pixel", Conv2d(3, padding=1), (1, 1, 1)),
    Row("conv2d of one row", Conv2d(3, kernel=(1, 3)), (1, 5, 2)),
    Row("conv2d 1×1 no bias", Conv2d(3, kernel=1, bias=False), (3, 2, 4)),
    Row("conv2d winograd", Conv2d(16, padding=1), (3, 4, 16)),
    Row("conv_transpose2d", ConvTranspose2d(2, stride=2), (3, 2, 3)),
    Row(
        "conv_transpose2d valid", ConvTranspose2d(2, kernel=(2, 3), stride=(3, 2), padding="valid"), (2, 3, 2)
    ),
    Row("conv_transpose2d no bias", ConvTranspose2d(3, kernel=4, stride=2, padding=1, bias=False), (2, 2, 1)),
    Row("conv_transpose2d dilated", ConvTranspose2d(2, kernel=2, dilation=2, padding=0), (2, 3, 2)),
    Row("conv1d", Conv1d(4), (6, 3)),
    Row("conv1d causal", Conv1d(3, kernel=2, padding="causal", dilation=2), (5, 2)),
    Row("conv1d depthwise", Conv1d(4, kernel=3, groups=4, stride=2, padding=1, bias=False), (7, 4)),
    Row("max_pool", MaxPool(), (4, 6, 3)),
    Row("max_pool overlapping", MaxPool(3, stride=2, padding=1), (5, 6, 2)),
    Row("max_pool strided beyond", MaxPool((1, 2), stride=(2, 3)), (5, 7, 2)),
    Row("max_pool sequence", MaxPool(2, padding="same"), (5, 3)),
    Row("avg_pool", AvgPool(), (4, 5, 3)),
    Row("avg_pool padded", AvgPool(3, stride=2, padding=1), (5, 4, 2)),
    Row("avg_pool sequence", AvgPool(2, stride=1, padding="same"), (5, 3)),
]
