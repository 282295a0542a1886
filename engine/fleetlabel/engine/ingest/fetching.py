"""Drive logs on object storage: copied once to each machine that reads them, since importers read files.

Copies are kept in ``FLEETLABEL_SCRATCH`` (by default a folder for temporary files) up to ``_KEPT_BYTES``: beyond that,
those that nobody opened for the longest time are deleted.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
import time
from functools import lru_cache
from pathlib import Path, PurePosixPath

from fleetlabel.model.errors import SourceError
from fleetlabel.store import buckets, durable
from fleetlabel.store.object_path import ObjectPath

_KEPT_BYTES = 50 * 2**30
_IN_USE_S = 3600.0


@lru_cache(maxsize=32)
def local_copy(source: ObjectPath, others: frozenset[str]) -> Path:
    """A local folder with the files of a drive log, named as the log is.

    Args:
        others: names of sequences of which nothing is needed: files and folders with such a name are left out.

    Raises:
        SourceError: there is nothing.
        StoreError: it cannot be read, or there is no room for it.
    """
    listed = [
        (key, size, written.isoformat())
        for key, size, written in buckets.below(source.bucket, source.key)
        if not _is_of(key[len(source.key) :], others)
    ]
    if not listed:
        raise SourceError(f"{source} does not exist; give the folder of a drive log")
    name = hashlib.sha256(repr((str(source), listed)).encode()).hexdigest()[:24]
    folder = scratch_folder() / name
    if not folder.exists():
        _make_room(folder.parent, sum(size for _, size, _ in listed))
        _download(source, [key for key, _, _ in listed], folder)
    os.utime(folder)
    return folder / source.name


def _is_of(key: str, others: frozenset[str]) -> bool:
    parts = PurePosixPath(key)
    return not others.isdisjoint({*parts.parts, parts.stem})


def scratch_folder() -> Path:
    """Where copies and indexes of drive logs are kept; any of them may be deleted."""
    return Path(
        os.environ.get("FLEETLABEL_SCRATCH") or Path(tempfile.gettempdir(), f"fleetlabel-{os.getuid()}")
    )


def _download(source: ObjectPath, keys: list[str], folder: Path) -> None:
    """Whole or not at all; of two that do it at the same time, one wins."""
    partial = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")

    def fetch(key: str) -> None:
        target = partial / source.name / key[len(source.key) + 1 :]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(buckets.get(source.bucket, key)[0])

    with durable.write_errors(folder):
        try:
            buckets.at_once(fetch, keys)
            if not folder.exists():
                partial.rename(folder)
        except OSError:
            if not folder.exists():
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _make_room(scratch: Path, n_bytes: int) -> None:
    with durable.write_errors(scratch):
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        copies = sorted((copy.stat().st_mtime, copy) for copy in scratch.iterdir())
    sizes = {
        copy: sum(file.stat().st_size for file in copy.rglob("*") if file.is_file()) for _, copy in copies
    }
    kept = sum(sizes.values())
    for used, copy in copies:
        if kept + n_bytes <= _KEPT_BYTES or time.time() - used < _IN_USE_S:
            return
        shutil.rmtree(copy, ignore_errors=True)
        kept -= sizes[copy]
