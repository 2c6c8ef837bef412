"""Norms."""

from daskpar.nn.layers.batch_norm import BatchNorm
from daskpar.nn.layers.group_norm import GroupNorm
from daskpar.nn.layers.rms_norm import RMSNorm
from layer_rows.row import Row

ROWS = [
    Row("batch norm", BatchNorm(), (5,), alone=False),
    Row("batch norm of one feature", BatchNorm(), (1,), alone=False),
    Row("batch norm of images", BatchNorm(momentum=0.5), (3, 5, 2), alone=False),
    Row("batch norm of one row of pixels", BatchNorm(), (1, 4, 3), alone=False),
    Row("batch norm of one channel", BatchNorm(epsilon=0.1), (3, 2, 1), alone=False),
    Row("batch norm of sequences", BatchNorm(sync=True), (4, 3), alone=False),
    Row("batch norm without scale", BatchNorm(scale=False), (3, 2), alone=False),
    Row("batch norm without shift", BatchNorm(shift=False), (3, 2), alone=False),
    Row("batch norm without parameters", BatchNorm(scale=False, shift=False), (4,), alone=False),
    Row("group norm", GroupNorm(2), (6,)),
    Row("group norm of images", GroupNorm(2), (3, 5, 4)),
    Row("group norm of one row of pixels", GroupNorm(3), (1, 4, 3)),
    Row("group norm of one channel", GroupNorm(1), (3, 3, 1)),
    Row("group norm of sequences", GroupNorm(1, epsilon=0.1), (4, 6)),
    Row("rms norm", RMSNorm(), (5,)),
    Row("rms norm of one feature", RMSNorm(epsilon=0.5), (1,)),
    Row("rms norm of images", RMSNorm(), (2, 3, 4)),
    Row("rms norm of sequences", RMSNorm(epsilon=0.1), (4, 3)),
]
