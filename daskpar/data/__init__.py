"""Data: sources that any worker can read, which rows serve what, and in which order they are drawn."""

from daskpar.data.categories import OneHot
from daskpar.data.chunk import Chunk
from daskpar.data.files import Npy, Npz
from daskpar.data.held import hold
from daskpar.data.images import Images
from daskpar.data.mnist import Digits, Mnist, find_mnist
from daskpar.data.order import Order, choose_streams
from daskpar.data.part import Part, split
from daskpar.data.source import Source
from daskpar.data.text import Text, find_text, split_text
from daskpar.data.transforms import Inputs, Scale, Standardise, transform

__all__ = [
    "Chunk",
    "Digits",
    "Images",
    "Inputs",
    "Mnist",
    "Npy",
    "Npz",
    "OneHot",
    "Order",
    "Part",
    "Scale",
    "Source",
    "Standardise",
    "Text",
    "choose_streams",
    "find_mnist",
    "find_text",
    "hold",
    "split",
    "split_text",
    "transform",
]
