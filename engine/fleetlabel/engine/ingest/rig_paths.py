"""Paths that a rig folder names: relative, and never out of the folder, not even through a link."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from fleetlabel.engine.ingest.rig_problems import Problem, RigError

PICTURES = (".jpg", ".jpeg", ".png")
POINTS = (".bin", ".npy", ".pcd")
VIDEOS = (
    ".mp4",
    ".mov",
    ".m4v",
    ".mkv",
    ".webm",
    ".avi",
    ".ts",
    ".mts",
    ".m2ts",
    ".mpg",
    ".h264",
    ".h265",
    ".hevc",
)
_DIGITS = re.compile(r"(\d+)")


def inside(folder: Path, relative: str, field: str) -> Path:
    """The path in the folder that ``rig.yaml`` names; it need not exist.

    Raises:
        RigError: it is absolute, or leads out of the folder.
    """
    pure = PurePosixPath(relative)
    rule = "a path below the folder"
    if not relative or "\0" in relative:
        raise RigError([Problem(folder, field, rule, repr(relative), "name the file")])
    if pure.is_absolute() or ".." in pure.parts:
        raise RigError([Problem(folder, field, rule, relative, "copy the data into the folder")])
    path = folder / pure
    require_inside(folder, path, field)
    return path


def require_inside(folder: Path, path: Path, field: str) -> None:
    """Refuses a path that a symbolic link leads out of the folder.

    Raises:
        RigError: it does.
    """
    try:
        real = path.resolve()
    except (OSError, RuntimeError) as error:  # links in a circle
        raise RigError(
            [Problem(path, field, "a file or folder", f"links in a circle ({error})", "remove the link")]
        ) from error
    if not real.is_relative_to(folder.resolve()):
        found = "a symbolic link that leads out of the folder"
        raise RigError([Problem(path, field, "data below the folder", found, "put the data itself there")])


def data_files(folder: Path, data: str, endings: tuple[str, ...], field: str) -> list[Path]:
    """Files of a folder, or of a glob, in natural order: 2.jpg comes before 10.jpg.

    Raises:
        RigError: there is no such folder, no file in it, or one leads out of the rig folder.
    """
    base = inside(folder, data, field)
    if base.is_dir():
        found = [path for path in base.iterdir() if path.suffix.lower() in endings]
    else:
        found = [path for path in folder.glob(data) if path.is_file()] if "*" in data or "?" in data else []
    if not found:
        state = "no such file" if base.is_dir() else "no such folder"
        raise RigError(
            [
                Problem(
                    base, field, f"files {', '.join(endings)}", state, "put the data there, or correct data"
                )
            ]
        )
    for path in found:
        if path.is_symlink():
            require_inside(folder, path, field)
    return sorted(found, key=_natural)


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    pieces = _DIGITS.split(path.as_posix())
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in pieces], path.name
