"""What Feather and Parquet files unpack to, by the headers of their pages and buffers, before anything is unpacked.

Readers allocate what these headers say: a few bytes can stand for gigabytes. Labels and sensors' data, packed as well
as can be, are not a hundredth of what they were, unless they are small.

Parquet: footer and page headers in Thrift's compact protocol (https://parquet.apache.org/docs/file-format). Feather:
the Arrow IPC file format, whose headers are flatbuffers (https://arrow.apache.org/docs/format/Columnar.html).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from fleetlabel.model.errors import SourceError

_SMALL_BYTES, _MOST_TIMES = 1 << 26, 100
_MAX_HEADER_BYTES = 1 << 24
_PAGE_HEADER_BYTES = 1 << 12
_DEEPEST = 16
# Bytes that a value takes in memory, by Parquet's number of its type; of texts and bytes, what refers to them.
_WIDTH = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8, 6: 16, 7: 16}


def refuse_parquet_bombs(path: Path, columns: Sequence[str]) -> None:
    """Complains of a Parquet file of which some columns, or what is nested in them, unpack to too much.

    Raises:
        SourceError: they do, or the headers are damaged.
    """
    status = path.stat()
    _judge(path, _parquet_bytes(path, status.st_size, status.st_mtime_ns, frozenset(columns)), status.st_size)


def refuse_feather_bombs(path: Path) -> None:
    """Complains of a Feather file that unpacks to too much.

    Raises:
        SourceError: it does, or its headers are damaged.
    """
    size = path.stat().st_size
    _judge(path, _measured(path, lambda file: _feather(file, size)), size)


# Waymo's files are read a few frames at a time.
@lru_cache(maxsize=256)
def _parquet_bytes(path: Path, size: int, mtime_ns: int, columns: frozenset[str]) -> int:
    return _measured(path, lambda file: _parquet(file, size, columns))


def _measured(path: Path, measure: Callable[[BinaryIO], int]) -> int:
    try:
        with path.open("rb") as file:
            return measure(file)
    except (
        struct.error,
        IndexError,
        KeyError,
        ValueError,
        TypeError,
        OverflowError,
        RecursionError,
        OSError,
    ) as error:
        raise SourceError(
            f"{path} is damaged or cut off (its headers cannot be read: {error}); restore it from the original log"
        ) from error


def _judge(path: Path, unpacked: int, packed: int) -> None:
    if unpacked > max(_SMALL_BYTES, _MOST_TIMES * packed):
        raise SourceError(
            f"{path} has {packed} bytes that would unpack to {unpacked}, which no data of a drive do; it was refused"
        )


# --- Parquet --------------------------------------------------------------------------------------------------------


def _parquet(file: BinaryIO, size: int, columns: frozenset[str]) -> int:
    length, magic = struct.unpack("<I4s", _at(file, size - 8, 8))
    if magic != b"PAR1" or not 0 < length <= min(size - 12, _MAX_HEADER_BYTES):
        raise ValueError("no footer of Parquet's")
    footer = _Thrift(_at(file, size - 8 - length, length)).struct()
    unpacked = 0
    for group in footer.get(4, ()):
        for chunk in group[1]:
            described = chunk[3]
            if described[3][0].decode() in columns:
                begin = min(described[9], described.get(11) or described[9])
                unpacked += _pages(file, begin, begin + described[7], _WIDTH[described[1]])
    return unpacked


def _pages(file: BinaryIO, begin: int, end: int, width: int) -> int:
    """Bytes that the pages of a column's chunk unpack to: as packed bytes, or as values, whichever is more."""
    unpacked = 0
    while begin < end:
        header, header_bytes = _page_header(file, begin, end)
        values = max((header[field][1] for field in (5, 7, 8) if field in header), default=0)
        if min(header[2], header[3], values) < 0:
            raise ValueError("a page of negative size")
        unpacked += max(header[2], values * width)
        begin += header_bytes + header[3]
    return unpacked


def _page_header(file: BinaryIO, begin: int, end: int) -> tuple[dict[int, Any], int]:
    length = _PAGE_HEADER_BYTES
    while True:
        reader = _Thrift(_at(file, begin, min(length, end - begin)))
        try:
            return reader.struct(), reader.at
        except IndexError:  # it has long statistics
            if length >= min(end - begin, _MAX_HEADER_BYTES):
                raise
            length *= 8


class _Thrift:
    """Thrift's compact protocol, as far as Parquet's headers use it: structs become dicts by field number."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at, self._depth = data, 0, 0

    def struct(self) -> dict[int, Any]:
        """The struct that begins here."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("headers nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) & 15:
            number = number + (head >> 4) if head >> 4 else self._whole()
            fields[number] = head & 15 == 1 if head & 15 in (1, 2) else self._value(head & 15)
        self._depth -= 1
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (1, 2, 3):
            return self._byte()
        if kind in (4, 5, 6):
            return self._whole()
        if kind in (7, 8):
            length = 8 if kind == 7 else self._varint()
            if self.at + length > len(self._data):
                raise IndexError("cut off")
            self.at += length
            return self._data[self.at - length : self.at]
        if kind in (9, 10):
            head = self._byte()
            count = head >> 4 if head >> 4 != 15 else self._varint()
            return [self.struct() if head & 15 == 12 else self._value(head & 15) for _ in range(count)]
        if kind == 12:
            return self.struct()
        raise ValueError(f"a field of type {kind}")

    def _byte(self) -> int:
        value = self._data[self.at]
        self.at += 1
        return value

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def _whole(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)


# --- Feather --------------------------------------------------------------------------------------------------------

_RECORDS, _DICTIONARY = 3, 2


def _feather(file: BinaryIO, size: int) -> int:
    length, magic = struct.unpack("<i6s", _at(file, size - 10, 10))
    if magic != b"ARROW1" or not 0 < length <= min(size - 10, _MAX_HEADER_BYTES):
        raise ValueError("no footer of Arrow's")
    footer = _Flat(_at(file, size - 10 - length, length))
    root = footer.root()
    unpacked = 0
    for field in (2, 3):  # dictionaries, record batches
        for place in footer.structs(root, field, 24):
            offset, header_bytes, _ = struct.unpack_from("<qi4xq", footer.data, place)
            if not 0 < header_bytes <= _MAX_HEADER_BYTES:
                raise ValueError("a block without header")
            unpacked += _batch(file, offset, header_bytes)
    return unpacked


def _batch(file: BinaryIO, offset: int, header_bytes: int) -> int:
    """Bytes that a record batch unpacks to."""
    head = _at(file, offset, header_bytes)
    message = _Flat(head[8 if head[:4] == b"\xff" * 4 else 4 :])
    root = message.root()
    kind, table = message.data[message.field(root, 1)], message.table(root, 2)
    if kind == _DICTIONARY:
        table = message.table(table, 1)
    elif kind != _RECORDS:
        raise ValueError(f"a message of type {kind}")
    packed, unpacked = bool(message.field(table, 3)), 0
    for place in message.structs(table, 2, 16):
        begin, length = struct.unpack_from("<qq", message.data, place)
        if length and packed:  # each buffer begins with its size, -1: it is not packed
            (declared,) = struct.unpack("<q", _at(file, offset + header_bytes + begin, 8))
            length = length if declared == -1 else declared
        if length < 0:
            raise ValueError("a buffer of negative size")
        unpacked += length
    return unpacked


class _Flat:
    """Tables of a flatbuffer."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def root(self) -> int:
        """Place of the outermost table."""
        return self._uint(0)

    def field(self, table: int, number: int) -> int:
        """Place of a table's field; 0 if it is not there."""
        vtable = table - int(struct.unpack_from("<i", self.data, table)[0])
        (size,) = struct.unpack_from("<H", self.data, vtable)
        if 4 + 2 * number >= size:
            return 0
        offset = int(struct.unpack_from("<H", self.data, vtable + 4 + 2 * number)[0])
        return table + offset if offset else 0

    def table(self, table: int, number: int) -> int:
        """Place of the table that a field refers to."""
        place = self.field(table, number)
        if not place:
            raise ValueError("a header that lacks a part")
        return place + self._uint(place)

    def structs(self, table: int, number: int, size: int) -> Sequence[int]:
        """Places of the structs of a vector."""
        if not self.field(table, number):
            return ()
        begin = self.table(table, number)
        count = self._uint(begin)
        if begin + 4 + count * size > len(self.data):
            raise ValueError("a vector that is cut off")
        return range(begin + 4, begin + 4 + count * size, size)

    def _uint(self, place: int) -> int:
        return int(struct.unpack_from("<I", self.data, place)[0])


def _at(file: BinaryIO, place: int, length: int) -> bytes:
    if place < 0:
        raise ValueError("a place before the file")
    file.seek(place)
    data = file.read(length)
    if len(data) < length:
        raise ValueError("a place behind the end of the file")
    return data
