"""Files that are there after a power cut, or not at all: atomic folders and files, the writer's lock.

zarr never calls fsync, and a rename is only durable once its folder is synced too.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleetlabel.model.errors import StoreError, StoreWriteError

_PENDING = ".pending-"


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turns the operating system's refusals while writing ``path`` into a :class:`StoreWriteError` with advice."""
    advice = {
        errno.ENOSPC: "the disk is full; free some space and run the same command with --resume",
        errno.EDQUOT: "the disk quota is used up; free some space and run the same command with --resume",
        errno.EROFS: "the file system is read-only; choose another --out",
        errno.EACCES: "permission denied; choose another --out or change the folder's permissions",
        errno.EPERM: "permission denied; choose another --out or change the folder's permissions",
    }
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        reason = advice.get(error.errno or 0, f"{error.strerror or error}")
        raise StoreWriteError(f"cannot write {path}: {reason}") from error


@contextmanager
def committed_folder(target: Path) -> Iterator[Path]:
    """A scratch folder that becomes ``target``, whole and synced, when the block ends without an error.

    A ``target`` that another writer committed meanwhile stays: parts are deterministic, so it holds the same.
    """
    scratch = target.with_name(f"{_PENDING}{target.name}-{os.getpid()}")
    with write_errors(target):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            yield scratch
            _sync_tree(scratch)
            try:
                scratch.rename(target)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        _sync(target.parent)


def write_file(target: Path, content: bytes) -> None:
    """Writes a small file so that readers see the old content or the new, never a part, and it survives a crash."""
    scratch = target.with_name(f"{_PENDING}{target.name}-{os.getpid()}")
    with write_errors(target):
        try:
            scratch.write_bytes(content)
            _sync(scratch)
            scratch.rename(target)
        finally:
            scratch.unlink(missing_ok=True)
        _sync(target.parent)


def make_folder(target: Path) -> None:
    """Creates a folder and its parents, each durable."""
    with write_errors(target):
        missing = [folder for folder in (target, *target.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            _sync(folder.parent)


def remove_pending(root: Path) -> None:
    """Deletes what writers that died left behind. Only the holder of the writer's lock may call this."""
    for leftover in list(root.rglob(f"{_PENDING}*")):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


@contextmanager
def writer_lock(root: Path) -> Iterator[None]:
    """Makes this process the store's only driver; the lock dies with the process, however that ends.

    Raises:
        StoreError: another process drives this store.
    """
    with write_errors(root):
        handle = os.open(root / ".writer.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(handle, 64, 0).decode(errors="replace").strip() or "unknown"
            raise StoreError(
                f"{root} is being written by another process (pid {owner}); wait for it or stop it, then try again"
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def _sync_tree(folder: Path) -> None:
    for path, _, files in os.walk(folder):
        for name in files:
            _sync(Path(path, name))
        _sync(Path(path))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
