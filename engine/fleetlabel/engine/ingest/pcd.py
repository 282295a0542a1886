"""PCD files of the Point Cloud Library (version 0.7): ascii, binary, and binary with LZF compression."""

from __future__ import annotations

import numpy as np

from fleetlabel.engine.ingest.files import MAX_FILE_BYTES
from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.model.errors import SourceError

_TYPES = {
    ("F", 4): "<f4", ("F", 8): "<f8", ("I", 1): "<i1", ("I", 2): "<i2", ("I", 4): "<i4", ("I", 8): "<i8",
    ("U", 1): "<u1", ("U", 2): "<u2", ("U", 4): "<u4", ("U", 8): "<u8",
}  # fmt: skip
_MAX_HEADER_BYTES = 1 << 14


def read_pcd(content: bytes, where: str) -> dict[str, AnyArray]:
    """Columns (P,) of a .pcd file by field name; a field with several numbers gives its first.

    Raises:
        SourceError: the header is no PCD header, or the data is not what it declares.
    """
    head, start = _header(content, where)
    try:
        names, sizes, kinds = head["FIELDS"], [int(size) for size in head["SIZE"]], head["TYPE"]
        counts = [int(count) for count in head.get("COUNT", ["1"] * len(names))]
        n_points = (
            int(head["POINTS"][0]) if "POINTS" in head else int(head["WIDTH"][0]) * int(head["HEIGHT"][0])
        )
        spelled = [_TYPES[kind, size] for kind, size in zip(kinds, sizes, strict=True)]
        # A field may be named twice, as padding (_) is.
        layout = [
            (f"{row}", code, (count,)) for row, (code, count) in enumerate(zip(spelled, counts, strict=True))
        ]
        dtype = np.dtype(layout)
        encoding = head["DATA"][0].lower()
        if n_points < 0 or len(names) != len(layout) or min(counts, default=0) < 1:
            raise ValueError(f"{n_points} points of {len(names)} fields")
    except (KeyError, ValueError, IndexError) as error:
        raise SourceError(
            f"{where} has a broken PCD header ({error!r}); restore it from the original log"
        ) from error
    if n_points * dtype.itemsize > MAX_FILE_BYTES:
        raise SourceError(
            f"{where} declares {n_points} points of {dtype.itemsize} bytes, more than {MAX_FILE_BYTES >> 20} MiB, "
            "which no sweep has; it was refused"
        )
    body = content[start:]
    if encoding == "ascii":
        codes = [code for code, count in zip(spelled, counts, strict=True) for _ in range(count)]
        columns = _ascii(body, n_points, codes, where)
        firsts = np.cumsum([0, *counts[:-1]])
        found = [columns[first] for first in firsts]
    elif encoding == "binary":
        _require(len(body) >= n_points * dtype.itemsize, where, n_points * dtype.itemsize, len(body))
        table = np.frombuffer(body, dtype, count=n_points)
        found = [table[f"{row}"][:, 0] for row in range(len(names))]
    elif encoding == "binary_compressed":
        found = _by_field(_unpack(body, n_points * dtype.itemsize, where), spelled, counts, n_points)
    else:
        raise SourceError(
            f"{where}: PCD data {encoding!r} is unknown; expected ascii, binary or binary_compressed"
        )
    return {name: column for name, column in zip(names, found, strict=True) if name != "_"}


def _header(content: bytes, where: str) -> tuple[dict[str, list[str]], int]:
    """Entries of the header, and where the data begins."""
    head: dict[str, list[str]] = {}
    position = 0
    while position < min(len(content), _MAX_HEADER_BYTES):
        end = content.find(b"\n", position, _MAX_HEADER_BYTES)
        if end < 0:
            break
        words = content[position:end].decode("ascii", "replace").split()
        position = end + 1
        if words and not words[0].startswith("#"):
            head[words[0].upper()] = words[1:]
            if words[0].upper() == "DATA":
                return head, position
    raise SourceError(
        f"{where} is no PCD file: its header has no DATA line; restore it from the original log"
    )


def _ascii(body: bytes, n_points: int, codes: list[str], where: str) -> list[AnyArray]:
    words = body.split()
    _require(len(words) == n_points * len(codes), where, n_points * len(codes), len(words), "numbers")
    try:
        return [np.array(words[row :: len(codes)]).astype(code) for row, code in enumerate(codes)]
    except (ValueError, OverflowError) as error:
        raise SourceError(f"{where}: {error}; restore it from the original log") from error


def _by_field(data: bytes, codes: list[str], counts: list[int], n_points: int) -> list[AnyArray]:
    """Compressed data is kept field by field, not point by point."""
    found: list[AnyArray] = []
    position = 0
    for code, count in zip(codes, counts, strict=True):
        column = np.frombuffer(data, code, count=n_points * count, offset=position)
        found.append(column.reshape(n_points, count)[:, 0])
        position += column.nbytes
    return found


def _unpack(body: bytes, expected: int, where: str) -> bytes:
    packed, unpacked = (int.from_bytes(body[at : at + 4], "little") for at in (0, 4))
    _require(unpacked == expected, where, expected, unpacked)
    _require(len(body) >= 8 + packed, where, packed, max(len(body) - 8, 0))
    return unpack_lzf(body[8 : 8 + packed], expected, where)


def unpack_lzf(data: bytes, expected: int, where: str) -> bytes:
    """LZF (Lehmann's LibLZF): runs of literals, and copies of what was written up to 8 KiB before.

    Raises:
        SourceError: it does not unpack to ``expected`` bytes.
    """
    out = bytearray()
    position, end = 0, len(data)
    try:
        while position < end and len(out) <= expected:
            control = data[position]
            position += 1
            if control < 32:
                out += data[position : position + control + 1]
                position += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += data[position]
                position += 1
            source = len(out) - ((control & 31) << 8) - data[position] - 1
            position += 1
            if source < 0:
                raise IndexError("a copy from before the beginning")
            length += 2
            piece = bytes(out[source : source + length])
            # A copy may reach into what it writes: then the piece repeats.
            out += (piece * (length // len(piece) + 1))[:length]
    except IndexError as error:
        raise SourceError(f"{where}: the compressed data is damaged ({error}); restore the file") from error
    _require(len(out) == expected and position == end, where, expected, len(out))
    return bytes(out)


def _require(good: bool, where: str, expected: int, found: int, what: str = "bytes") -> None:
    if not good:
        raise SourceError(
            f"{where} declares {expected} {what} of points but holds {found}; restore it from the original log"
        )
