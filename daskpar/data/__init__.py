"""Data: sources, splits, transforms, and the order in which rows are drawn.

The classes that most people need:

    Source   examples and targets of one origin, e.g. `Csv("a.csv", target="price")`
    Parts    a Split each for training, validation and test: shares of the rows of a source
    Sampler  the order of the training rows: a function of seed, epoch and step
    Chunk    rows as arrays, transformed and in the precision of the run

A source is split into parts. Rows of a part become chunks, on which a training step computes:

    Source -- split --> Parts -- Sampler, read, Transform --> Chunk --> step

Example:
    >>> from daskpar.data import Digits, split
    >>> split(Digits(), validation=0.1, test=0.2, seed=0, stratified=True)
    Parts of Digits()
      train       1,258 rows
      validation    180 rows
      test          359 rows
      x           8 × 8 × 1 uint8
      y           int32, 10 classes
"""

# Sources are registered in this order. Messages list them in the same order.
# isort: off
from daskpar.data.mnist import Digits, Mnist, find_mnist
from daskpar.data.files import Npy, Npz
from daskpar.data.text import Text, find_text
from daskpar.data.images import Images
from daskpar.data.tables import Arrow, Csv, Parquet
from daskpar.data.zarr_groups import Zarr

# isort: on
from daskpar.data.categories import NumberLabels, OneHot
from daskpar.data.chunk import Chunk
from daskpar.data.encode import Encode
from daskpar.data.fitted import Fitted, Transform
from daskpar.data.impute import Impute
from daskpar.data.in_memory import hold
from daskpar.data.sampler import Sampler, choose_streams
from daskpar.data.source import SOURCES, Source
from daskpar.data.splits import Parts, Split, parts_of, split, split_text
from daskpar.data.transforms import Inputs, Scale, Standardise, transform

__all__ = [
    "SOURCES",
    "Arrow",
    "Chunk",
    "Csv",
    "Digits",
    "Encode",
    "Fitted",
    "Images",
    "Impute",
    "Inputs",
    "Mnist",
    "Npy",
    "Npz",
    "NumberLabels",
    "OneHot",
    "Parquet",
    "Parts",
    "Sampler",
    "Scale",
    "Source",
    "Split",
    "Standardise",
    "Text",
    "Transform",
    "Zarr",
    "choose_streams",
    "find_mnist",
    "find_text",
    "hold",
    "parts_of",
    "split",
    "split_text",
    "transform",
]
