"""Data: sources that any worker can read, which rows serve what, and in which order they are drawn."""

from daskpar.data.chunk import Chunk
from daskpar.data.files import Npy, Npz
from daskpar.data.held import hold
from daskpar.data.mnist import Digits, Mnist, find_mnist
from daskpar.data.order import Order, choose_streams
from daskpar.data.part import Part, split
from daskpar.data.source import Source
from daskpar.data.transforms import OneHot, Scale, Standardise, transform

__all__ = [
    "Chunk",
    "Digits",
    "Mnist",
    "Npy",
    "Npz",
    "OneHot",
    "Order",
    "Part",
    "Scale",
    "Source",
    "Standardise",
    "choose_streams",
    "find_mnist",
    "hold",
    "split",
    "transform",
]
