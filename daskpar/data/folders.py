"""The list of the images in a folder that has a folder for each class.

Some entries are passed over: names that begin with a dot, files that macOS, Windows and network storage leave
behind (`_LEFT`), files with other endings, folders within the folders of classes, and images beside those
folders. One log line counts them when a folder is listed. Entries with the ending of an image that are no
files (named pipes, broken links) are refused by name, because images would be missing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from functools import lru_cache
from multiprocessing import parent_process
from pathlib import Path
from typing import NamedTuple

import numpy as np

from daskpar.data.reading import Stamp, check_file, decoding, stamp
from daskpar.errors import InputError, printable

logger = logging.getLogger("daskpar.data")

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".webp")
_LEFT = {
    *("__macosx", "icon\r", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin"),
    *("system volume information", "lost+found", "@eadir", "#recycle", "__pycache__"),
}


class Listing(NamedTuple):
    """The images of a folder: sorted class names, paths class by class, and labels (files,) int32."""

    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: np.ndarray


class _Folder(NamedTuple):
    """The entries of one folder: names of folders and files, and (kind, path) of those passed over."""

    folders: tuple[str, ...]
    files: tuple[str, ...]
    passed: tuple[tuple[str, str], ...]


def find_images(path: str) -> Listing:
    """Return the images of a folder; it is listed again only if it or a folder of a class has changed.

    Raises InputError unless the folder has a folder of images for each class.
    """
    return _listing(path, folder_version(path))


def folder_version(path: str) -> tuple[Stamp, ...]:
    """Return the stamps of a folder and of the folders of its classes."""
    top = stamp(path)
    return top, *(stamp(os.path.join(path, name)) for name in _classes(path, top).folders)


@lru_cache(maxsize=16)
def _classes(path: str, stamped: Stamp) -> _Folder:
    if not os.path.isdir(path):
        raise InputError(f"{path}: no such folder; expected one with a folder of images for each class")
    entries = _entries(path)
    if not entries.folders:
        raise InputError(f"{path}: no folders of classes in it; expected e.g. {Path(path) / 'cat' / '1.png'}")
    return entries


@lru_cache(maxsize=4)
def _listing(path: str, stamps: tuple[Stamp, ...]) -> Listing:
    top = _classes(path, stamps[0])
    files: list[str] = []
    labels: list[int] = []
    strays = [("an image outside the folders of classes", str(Path(path) / f)) for f in top.files]
    passed = [*top.passed, *(stray for stray in strays if _is_image(stray[1]))]
    for number, name in enumerate(top.folders):
        folder = Path(path) / name
        entries = _entries(folder)
        ignored = [*entries.passed, *(("a folder within a class", str(folder / f)) for f in entries.folders)]
        images = [str(folder / f) for f in entries.files if _is_image(f)]
        ignored += [("a file of another ending", str(folder / f)) for f in entries.files if not _is_image(f)]
        if not images:
            holds = f"; it holds {_counted(ignored)}" if ignored else ""
            raise InputError(f"{folder}: no images in it; expected files such as {', '.join(ENDINGS)}{holds}")
        files += images
        labels += [number] * len(images)
        passed += ignored
    if passed:
        # Worker processes list the same folder; one warning, by the client, is enough.
        level = logging.WARNING if parent_process() is None else logging.DEBUG
        logger.log(level, "%s: %d images; passed over %s", printable(path), len(files), _counted(passed))
    array = np.array(labels, dtype=np.int32)
    array.flags.writeable = False  # all sources of this folder share it
    return Listing(top.folders, tuple(files), array)


def _entries(folder: str | Path) -> _Folder:
    folders, files, passed = [], [], []
    with decoding(folder, "a folder"), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower() in _LEFT:
                passed.append(("a hidden or system entry", entry.path))
            elif os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():
                folders.append(entry.name)
            else:
                if _is_image(entry.name) and not entry.is_file(follow_symlinks=False):
                    check_file(entry.path, "an image")  # a link to one, or refused as what it is
                files.append(entry.name)
    return _Folder(tuple(sorted(folders)), tuple(sorted(files)), tuple(sorted(passed)))


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in ENDINGS


def _counted(passed: Iterable[tuple[str, str]]) -> str:
    """Return the number of entries of each kind, each with its first path, for a message."""
    kinds: dict[str, list[str]] = {}
    for kind, path in passed:
        kinds.setdefault(kind, []).append(path)
    return ", ".join(f"{len(paths)} × {kind} ({paths[0]})" for kind, paths in kinds.items())
