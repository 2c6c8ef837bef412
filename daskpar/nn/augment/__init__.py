"""Layers that vary images while training, each row of the global batch by draws of its own."""

from daskpar.nn.augment.crop import RandomCrop
from daskpar.nn.augment.cutout import Cutout
from daskpar.nn.augment.flip import RandomFlip
from daskpar.nn.augment.normalise import Normalise
from daskpar.nn.augment.shift import RandomShift

__all__ = ["Cutout", "Normalise", "RandomCrop", "RandomFlip", "RandomShift"]
