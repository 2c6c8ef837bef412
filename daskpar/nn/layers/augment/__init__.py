"""Layers that vary images while training. Each row of the batch has draws of its own."""

from daskpar.nn.layers.augment.crop import RandomCrop
from daskpar.nn.layers.augment.cutout import Cutout
from daskpar.nn.layers.augment.flip import RandomFlip
from daskpar.nn.layers.augment.normalise import Normalise
from daskpar.nn.layers.augment.shift import RandomShift

__all__ = ["Cutout", "Normalise", "RandomCrop", "RandomFlip", "RandomShift"]
