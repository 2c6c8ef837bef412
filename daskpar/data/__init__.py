"""Data: sources that any worker can read, which rows serve what, and in which order they are drawn."""

# Sources register themselves in this order, in which messages name them:
# isort: off
from daskpar.data.mnist import Digits, Mnist, find_mnist
from daskpar.data.files import Npy, Npz
from daskpar.data.text import Text, find_text
from daskpar.data.images import Images
from daskpar.data.tables import Arrow, Csv, Parquet
from daskpar.data.zarr_groups import Zarr

# isort: on
from daskpar.data.categories import OneHot
from daskpar.data.chunk import Chunk
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
    "Images",
    "Inputs",
    "Mnist",
    "Npy",
    "Npz",
    "OneHot",
    "Parquet",
    "Parts",
    "Sampler",
    "Scale",
    "Source",
    "Split",
    "Standardise",
    "Text",
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
