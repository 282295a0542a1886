"""Files made of pictures: they appear whole or not at all, and replace what had their name."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from fleetlabel.geometry.arrays import U8
from fleetlabel.model.errors import FleetLabelError

STILL_SUFFIXES = (".png", ".jpg", ".jpeg")


class OutputError(FleetLabelError, OSError):
    """A picture or video cannot be written."""


def write_still(path: Path, picture: U8) -> None:
    """Writes a picture (H, W, 3) of blue, green, red as PNG or JPEG, as the name's ending says.

    Raises:
        OutputError: the file system refused.
    """
    suffix = path.suffix.lower()
    # PNG's own default is three times slower for a tenth less.
    options = [cv2.IMWRITE_PNG_COMPRESSION, 4] if suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, 92]
    _, encoded = cv2.imencode(suffix, picture, options)
    with replacing(path) as scratch:
        scratch.write_bytes(encoded.tobytes())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A scratch name beside ``path`` that takes its place when the block ends without an error.

    Raises:
        OutputError: the file system refused.
    """
    scratch = path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield scratch
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error, FleetLabelError):
            raise
        reason = os.strerror(error.errno) if error.errno else str(error)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "free some space there" if full else "choose another --out"
        raise OutputError(f"cannot write {path}: {reason}; {advice}") from error
