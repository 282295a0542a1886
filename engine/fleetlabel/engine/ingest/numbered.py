"""Folders with one file per frame, named by the frame's number."""

from __future__ import annotations

from pathlib import Path

from fleetlabel.model.errors import SourceError

MAX_FRAMES = 1_000_000


def numbered_files(folder: Path, endings: tuple[str, ...]) -> dict[int, Path]:
    """Files of a folder whose name is a number and one of ``endings``, by number, ascending; none without a
    folder.

    Raises:
        SourceError: a number is too large to be a frame's.
    """
    if not folder.is_dir():
        return {}
    found = {}
    for path in folder.iterdir():
        number = path.name.partition(".")[0]
        if not path.name.endswith(endings) or not (number.isascii() and number.isdigit()):
            continue
        if len(number) > 12 or int(number) >= MAX_FRAMES:
            raise SourceError(f"{path}: no drive has so many frames; rename the file to its frame number")
        found[int(number)] = path
    return dict(sorted(found.items()))
