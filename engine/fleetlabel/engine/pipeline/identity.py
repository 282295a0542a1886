"""Content hashes of what a run is told to use."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fleetlabel.model.errors import SourceError


def file_hash(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files with their relative names.

    Raises:
        SourceError: there is nothing at ``path``.
    """
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    if not path.is_dir():
        raise SourceError(f"{path} does not exist; check the path")
    digest = hashlib.sha256()
    for file_path in sorted(entry for entry in path.rglob("*") if entry.is_file()):
        digest.update(f"{file_path.relative_to(path).as_posix()} {file_hash(file_path)}\n".encode())
    return digest.hexdigest()
