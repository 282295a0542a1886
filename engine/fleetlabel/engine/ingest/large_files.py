"""Files of others that may be large, labels above all, read piece by piece: none can make us hold more than a piece.

Packed files (gzip, or the one file of its kind in a zip archive) are unpacked as they are read, and never to disk.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fleetlabel.model.errors import SourceError

# A packed file that unpacks to more than this many times its size is no label file; small ones may.
_MAX_RATIO, _SMALL_BYTES = 256, 1 << 26
_CHUNK_BYTES = 1 << 20
_MAX_LINE = 1 << 16


@contextmanager
def opened(path: Path, suffix: str) -> Iterator[IO[bytes]]:
    """A file's bytes, unpacked if it is gzip or a zip archive with one file that ends in ``suffix``.

    Raises:
        SourceError: it is missing, empty, damaged, or unpacks to what no label file does.
    """
    try:
        size = path.stat().st_size
        if size == 0:
            raise SourceError(f"{path} is empty (0 bytes); export it again")
        with path.open("rb") as plain:
            magic = plain.read(4)
            plain.seek(0)
            if magic[:2] == b"\x1f\x8b":
                with gzip.open(plain) as file:
                    yield io.BufferedReader(_Bounded(file, path, size))
            elif magic == b"PK\x03\x04":
                with zipfile.ZipFile(plain) as archive, archive.open(_member(archive, path, suffix)) as inner:
                    yield io.BufferedReader(_Bounded(inner, path, size))
            else:
                yield plain
    except (
        EOFError,
        gzip.BadGzipFile,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise SourceError(f"{path} is damaged or cut off ({error}); export it again") from error
    except FileNotFoundError as error:
        raise SourceError(f"{path} is missing; give the file that holds the labels") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error


def text_chunks(file: IO[bytes], path: Path) -> Iterator[str]:
    """A file's text, a MiB at a time.

    Raises:
        SourceError: it is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        while chunk := file.read(_CHUNK_BYTES):
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not text ({error}); export it again") from error


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a text file that are not blank, with their numbers from 1; an empty file has none.

    Raises:
        SourceError: see :func:`opened`; or a line is longer than any of a label file.
    """
    if path.is_file() and path.stat().st_size == 0:
        return
    with opened(path, ".txt") as file:
        number = 0
        while raw := file.readline(_MAX_LINE):
            number += 1
            if len(raw) >= _MAX_LINE:
                raise SourceError(
                    f"{path} line {number} is longer than {_MAX_LINE} bytes: this is no label file"
                )
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise SourceError(f"{path} line {number} is not text ({error}); export it again") from error
            if line:
                yield number, line


def label_files(path: Path, pattern: str, what: str) -> list[Path]:
    """The file itself, or the files of a folder that match a pattern, sorted.

    Raises:
        SourceError: there is none.
    """
    found = [path] if path.is_file() else sorted(file for file in path.glob(pattern) if file.is_file())
    if not found:
        raise SourceError(f"{path} has no {what}; expected {pattern} there")
    return found


def _member(archive: zipfile.ZipFile, path: Path, suffix: str) -> zipfile.ZipInfo:
    found = [entry for entry in archive.infolist() if entry.filename.endswith(suffix)]
    if len(found) != 1:
        raise SourceError(
            f"{path} is a zip archive with {len(found)} files *{suffix}, expected one; unpack it and give the file"
        )
    return found[0]


class _Bounded(io.RawIOBase):
    """What is unpacked, until it is more than any label file unpacks to."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, path: Path, packed: int) -> None:
        self._file, self._path, self._packed, self._read = file, path, packed, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._file.read(len(buffer))
        self._read += len(data)
        if self._read > max(_SMALL_BYTES, _MAX_RATIO * self._packed):
            raise SourceError(
                f"{self._path} unpacks to more than {_MAX_RATIO} times its {self._packed} bytes, which no label file "
                "does; it was refused"
            )
        buffer[: len(data)] = data
        return len(data)
