"""Paths on object storage: s3://bucket/prefix, with pathlib's arithmetic, so that a store's place is one type anywhere.

Object storage has no folders: one exists as long as an object's key begins with its name. What reads is here, in
methods that pathlib has; what makes files and folders durable is in ``durable``, and what commits a table's parts in
``commits``. Anything else that wants a local path fails loudly.
"""

from __future__ import annotations

import io
import os
from collections.abc import Generator
from fnmatch import fnmatch
from pathlib import Path, PosixPath
from typing import NoReturn, Self

from fleetlabel.model.errors import UsageError
from fleetlabel.store import buckets

_SCHEMES = ("s3:", "gs:", "az:")


class ObjectPath(PosixPath):
    """A place on object storage, an object's or, as a prefix of keys, a folder's."""

    __slots__ = ()

    @property
    def bucket(self) -> str:
        """Address of the bucket, e.g. ``s3://drives``."""
        return "//".join(self.parts[:2])

    @property
    def key(self) -> str:
        """Of the object, or what the keys of a folder's objects begin with; empty for the bucket itself."""
        return "/".join(self.parts[2:])

    def __str__(self) -> str:
        if self.parts[:1] and self.parts[0] in _SCHEMES:
            return "/".join([self.bucket, *self.parts[2:]])
        return super().__str__()  # a relative path, e.g. of a table in its store

    def __repr__(self) -> str:
        return f"ObjectPath({str(self)!r})"

    def __fspath__(self) -> NoReturn:
        raise UsageError(f"{self} is on object storage, but this needs a local path; copy it there first")

    @property
    def parents(self) -> tuple[Self, ...]:
        """Folders above, up to the bucket."""
        names = self.parts
        return tuple(type(self)(*names[:length]) for length in range(len(names) - 1, 1, -1))

    def resolve(self, strict: bool = False) -> Self:
        """Itself: object storage has no links."""
        return self

    def absolute(self) -> Self:
        """Itself."""
        return self

    def expanduser(self) -> Self:
        """Itself."""
        return self

    # --- reading ----------------------------------------------------------------------------------------------------

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is an object or a folder."""
        return self.is_file() or self.is_dir()

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is an object."""
        return bool(self.key) and buckets.size(self.bucket, self.key) is not None

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there are objects below it."""
        return not self.key or buckets.is_prefix(self.bucket, self.key)

    def is_symlink(self) -> bool:
        """Never."""
        return False

    def iterdir(self) -> Generator[Self, None, None]:
        """Objects and folders right below it."""
        folders, objects = buckets.entries(self.bucket, self.key)
        for name in sorted({*folders, *objects}):
            yield self / name

    def glob(self, pattern: str) -> Generator[Self, None, None]:
        """What is right below it and has a name like a pattern."""
        if "/" in pattern or "**" in pattern:
            raise UsageError(
                f"{self}/{pattern}: on object storage only names right below a folder are matched"
            )
        return (path for path in self.iterdir() if fnmatch(path.name, pattern))

    def read_bytes(self) -> bytes:
        """Content of an object.

        Raises:
            FileNotFoundError: there is none.
        """
        return buckets.get(self.bucket, self.key)[0]

    def open(self, mode: str = "r", *_: object, **__: object) -> io.BytesIO:  # type: ignore[override]
        """Content of an object, as a file of bytes.

        Raises:
            FileNotFoundError: there is none.
        """
        if mode != "rb":
            self.__fspath__()
        return io.BytesIO(self.read_bytes())

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        """Content of an object, as text."""
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    # --- writing, of probes -----------------------------------------------------------------------------------------

    def write_bytes(self, data: bytes) -> int:  # type: ignore[override]  # bytes are all that is written here
        """Writes an object."""
        buckets.put(self.bucket, self.key, data)
        return len(data)

    def unlink(self, missing_ok: bool = False) -> None:
        """Deletes an object, or nothing."""
        buckets.delete(self.bucket, [self.key])


def place_of(place: str | os.PathLike[str]) -> Path:
    """A local path, or one on object storage if it begins with ``s3://`` (``gs://``, ``az://``).

    Raises:
        UsageError: it names no bucket.
    """
    if isinstance(place, ObjectPath):
        return place
    path = Path(place)  # takes one slash of two away
    if path.parts[:1] and path.parts[0] in _SCHEMES:
        if len(path.parts) < 2:
            raise UsageError(f"{place} names no bucket; write for example s3://bucket/drive.zarr")
        return ObjectPath(path)
    return path
