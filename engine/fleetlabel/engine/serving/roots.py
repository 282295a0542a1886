"""The folders and buckets that an engine may touch, and where in them a client's words lead.

What is guaranteed:

- No path or address of a client leads out of the roots: not by ``..``, absolute paths, other schemes, NUL bytes, nor
  through symbolic links that are there when it is asked for. What is returned is free of links.
- :meth:`DataRoots.source` looks at everything below, so that nothing that a reader of the folder opens is elsewhere,
  and nothing in it is a pipe or a device.
- :meth:`DataRoots.open_file` walks from the root by handles and follows no link: whatever is moved or linked meanwhile,
  the file that it opens lay below the root.

A client can make no links. Whoever may write to the roots on the machine itself can put one where a path was checked
a moment ago, for what then opens it by name; so those who use a path later ask again (:meth:`DataRoots.recheck`), and
folders of several people need roots that only the engine may write to. Hard links and mounts count as inside.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from fleetlabel.engine.fleet.stores import is_store
from fleetlabel.model.errors import OutsideRootsError, SourceError, StoreNotFoundError, UsageError
from fleetlabel.model.names import name_problem
from fleetlabel.store.object_path import ObjectPath, place_of

_ON_OBJECT_STORAGE = re.compile(r"(s3|gs|az)://[^/]")
_WITH_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_MAX_CHARS = 4096
_SUFFIX = ".zarr"


class DataRoots:
    """Folders and buckets with everything below them.

    Attributes:
        paths: of the roots, without links.
    """

    def __init__(self, roots: Sequence[str | Path]) -> None:
        """Takes the roots as they are now.

        Args:
            roots: existing folders, or ``s3://bucket/prefix``; relative paths of clients are of the first one.

        Raises:
            UsageError: there is none, or one is no folder, or all of the machine.
        """
        if not roots:
            raise UsageError("an engine needs a folder for its data; give --data FOLDER")
        self.paths = tuple(dict.fromkeys(map(_root, roots)))

    def place(self, text: str) -> Path:
        """Where a client's path or address leads; nothing need be there.

        Raises:
            OutsideRootsError: out of the roots; or it is no path at all.
        """
        if not text.strip() or len(text) > _MAX_CHARS or not text.isprintable():
            raise OutsideRootsError(
                f"{text[:80]!r} is no path: expected up to {_MAX_CHARS} printable characters"
            )
        if _WITH_SCHEME.match(text):
            return self._object(text)
        if ".." in text.split("/"):
            raise self._outside(text)
        return self._inside(text, self.paths[0] / text if not text.startswith("/") else Path(text))

    def recheck(self, path: Path) -> Path:
        """A path that :meth:`place` gave some time ago, if it still leads there.

        Raises:
            OutsideRootsError: somebody has put a link in between.
        """
        return self.place(str(path))

    def holds(self, path: Path) -> bool:
        """Whether a path leads into the roots."""
        try:
            self.place(str(path))
        except OutsideRootsError:
            return False
        return True

    def source(self, text: str) -> Path:
        """A drive log or other input: an existing file or folder, with nothing in it that leads out of the roots.

        Raises:
            OutsideRootsError: it does, or something in it does.
            SourceError: there is nothing, or something is neither a file nor a folder.
        """
        path = self.place(text)
        if not path.exists():
            raise SourceError(f"there is nothing at {text}")
        if not isinstance(path, ObjectPath):
            self._check_kind(path, path.stat().st_mode)
            for entry in _everything_below(path):
                if entry.is_symlink():
                    target = self._inside(entry.path, Path(entry.path))
                    if target.exists():
                        self._check_kind(Path(entry.path), target.stat().st_mode)
                else:
                    self._check_kind(Path(entry.path), entry.stat(follow_symlinks=False).st_mode)
        return path

    def store(self, name: str) -> Path:
        """An existing store: a sequence's name, of the first root that has it, or a path or address.

        Raises:
            OutsideRootsError: it is elsewhere, or no name.
            StoreNotFoundError: there is none.
        """
        if "/" in name:
            places = [self.place(name)]
        else:
            file = _file_name(name)
            places = [self._below(root, file) for root in self.paths]
        for place in places:
            if is_store(place):
                return place
        raise StoreNotFoundError(f"there is no sequence {name!r}; list those that there are")

    def new_store(self, name: str) -> Path:
        """Where a store is, or will be: a sequence's name, below the first root, or a path or address.

        Raises:
            OutsideRootsError: it is elsewhere, or no name.
            UsageError: a path does not end in ``.zarr``, or is a root.
        """
        place = self.place(name) if "/" in name else self._below(self.paths[0], _file_name(name))
        if place.suffix != _SUFFIX or place in self.paths:
            raise UsageError(f"{name!r} is no store; expected a name, or a path that ends in {_SUFFIX}")
        return place

    def name_of(self, path: Path) -> str:
        """What a client calls a place: its path below the first root, or, in another one, all of it."""
        first = self.paths[0]
        below = _is_below(path, first) and path != first and not isinstance(path, ObjectPath)
        return str(path.relative_to(first)) if below else str(path)

    def in_clients_words(self, text: str) -> str:
        """A text with places below the first root as clients call them: where that is, is no business of theirs."""
        first = self.paths[0]
        return text if isinstance(first, ObjectPath) else _without_folder(text, first)

    def open_file(self, text: str) -> BinaryIO:
        """Opens a local file for reading, wherever anybody moves it meanwhile; see the module.

        Raises:
            OutsideRootsError: it is not in the roots, or a link, or on object storage.
            SourceError: there is none, or it is no file.
        """
        path = self.place(text)
        if isinstance(path, ObjectPath):
            raise OutsideRootsError(f"{text} is on object storage; expected a local file")
        root = next(root for root in self.paths if _is_below(path, root))
        flags = os.O_NOFOLLOW | os.O_CLOEXEC
        folder = os.open(root, os.O_PATH | os.O_DIRECTORY | flags)
        try:
            *folders, file = path.relative_to(root).parts or (".",)
            for name in folders:
                folder, above = os.open(name, os.O_PATH | os.O_DIRECTORY | flags, dir_fd=folder), folder
                os.close(above)
            handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | flags, dir_fd=folder)
        except FileNotFoundError as error:
            raise SourceError(f"there is no file {text}") from error
        except OSError as error:  # a link, or what was a folder a moment ago
            raise self._outside(text) from error
        finally:
            os.close(folder)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise SourceError(f"{text} is no file")
        return os.fdopen(handle, "rb")

    def _object(self, text: str) -> Path:
        names = text.split("/")
        if _ON_OBJECT_STORAGE.match(text) is None or {".", ".."} & set(names) or "" in names[3:-1]:
            raise self._outside(text)
        path = place_of(text)
        if not any(isinstance(root, ObjectPath) and _is_below(path, root) for root in self.paths):
            raise self._outside(text)
        return path

    def _below(self, root: Path, file: str) -> Path:
        return root / file if isinstance(root, ObjectPath) else self._inside(file, root / file)

    def _inside(self, text: str, path: Path) -> Path:
        """A local path without its links, if it leads into a root."""
        try:
            real = Path(os.path.realpath(path))
            links_in_a_circle = any(part.is_symlink() for part in (real, *real.parents))
        except (OSError, ValueError) as error:
            raise self._outside(text) from error
        local = [root for root in self.paths if not isinstance(root, ObjectPath)]
        if (
            isinstance(path, ObjectPath)
            or links_in_a_circle
            or not any(_is_below(real, root) for root in local)
        ):
            raise self._outside(text)
        return real

    def _check_kind(self, path: Path, mode: int) -> None:
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise SourceError(f"{path} is neither a file nor a folder; reading it might never end")

    def _outside(self, text: str) -> OutsideRootsError:
        return OutsideRootsError(f"{text!r} is not in what this engine may touch: its data roots")


def _root(root: str | Path) -> Path:
    place = place_of(root)
    if isinstance(place, ObjectPath):
        if {".", ".."} & set(place.parts):
            raise UsageError(f"{root} cannot be a root: it has a dot for a folder")
        return place
    real = Path(os.path.realpath(place.expanduser()))
    if not real.is_dir():
        raise UsageError(f"{root} cannot be a root: it is no folder; make it, or name another one")
    if real == Path("/"):
        raise UsageError("/ cannot be a root: it is all of the machine; name the folders with data")
    return real


def _without_folder(text: str, folder: Path) -> str:
    return text.replace(f"{folder}/", "").replace(str(folder), "the data root")


def _is_below(path: Path, root: Path) -> bool:
    return path.parts[: len(root.parts)] == root.parts


def _file_name(name: str) -> str:
    problem = name_problem(name)
    if problem is not None:
        raise OutsideRootsError(f"{name[:80]!r} is no name of a sequence: it {problem}")
    return name if name.endswith(_SUFFIX) else name + _SUFFIX


def _everything_below(path: Path) -> Iterator[os.DirEntry[str]]:
    if not path.is_dir():
        return
    open_folders = [str(path)]
    while open_folders:
        with os.scandir(open_folders.pop()) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    open_folders.append(entry.path)
