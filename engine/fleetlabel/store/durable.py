"""Files that are there after a power cut, or not at all: atomic folders and files, the writer's lock.

zarr never calls fsync, and a rename is only durable once its folder is synced too. On object storage a file is an
object, which is durable once it is put, and folders need not be made.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from fleetlabel.model.errors import ScratchTakenError, StoreError, StoreWriteError
from fleetlabel.store import buckets
from fleetlabel.store.object_path import ObjectPath

PENDING = ".pending-"
LOCK = ".writer.lock"

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space and run the same command with --resume",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command with --resume",
    errno.EROFS: "the file system is read-only; choose another --out",
    errno.EACCES: "permission denied; choose another --out or change the folder's permissions",
    errno.EPERM: "permission denied; choose another --out or change the folder's permissions",
    errno.EFBIG: "the file would be larger than the file system or the process's limit allows; choose another --out",
}
_SYNCS_AT_ONCE = 16
# zarrs (Rust) reports a refused write as a RuntimeError that ends in "(os error 28)".
_RUST_OS_ERROR = re.compile(r"\(os error (\d+)\)")


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turns the operating system's refusals while writing ``path`` into a :class:`StoreWriteError` with advice."""
    try:
        yield
    except StoreError:
        raise
    except (OSError, RuntimeError) as error:
        number, reason = _os_error(error)
        if number is None and not isinstance(error, OSError):
            raise
        cause = error if isinstance(error, OSError) else OSError(number, reason)
        raise StoreWriteError(f"cannot write {path}: {_ADVICE.get(number or 0, reason)}") from cause


@contextmanager
def committed_folder(target: Path, admit: Callable[[], bool]) -> Iterator[Path]:
    """A scratch folder that becomes ``target``, whole and synced, when the block ends without an error.

    Args:
        target: must not exist, and its parent must.
        admit: asked last, while no other writer can commit to the same parent: whether the folder is still wanted.
            If not, or if it raises, nothing is committed.

    Raises:
        ScratchTakenError: somebody took this writer for dead and cleared its scratch away; write it again.
        StoreWriteError: the file system refused.
    """
    scratch = _scratch_name(target)
    with write_errors(target):
        scratch.mkdir()
        committed = False
        try:
            made = os.open(scratch, os.O_RDONLY)  # kept open, so that no other folder gets its number
        except FileNotFoundError as error:
            raise ScratchTakenError(f"{scratch} was cleared away once it was made") from error
        try:
            yield scratch
            _sync_tree(scratch)
            with _one_at_a_time(target.parent):
                if admit():
                    if not _is_still(scratch, made):  # what was written since then would be all there is
                        raise FileNotFoundError(errno.ENOENT, "it is gone", str(scratch))
                    scratch.rename(target)
                    committed = True
                    sync(target.parent)
        except Exception as error:
            if committed or _is_still(scratch, made):
                raise
            raise ScratchTakenError(f"{scratch} was cleared away while it was written") from error
        finally:
            os.close(made)
            shutil.rmtree(scratch, ignore_errors=True)


def _is_still(folder: Path, made: int) -> bool:
    """Whether a folder is the one that a handle is of, and not another one that has its name."""
    try:
        return os.path.samestat(folder.stat(), os.fstat(made))
    except FileNotFoundError:
        return False


def write_file(target: Path, content: bytes) -> None:
    """Writes a small file so that readers see the old content or the new, never a part, and it survives a crash."""
    if isinstance(target, ObjectPath):
        buckets.put(target.bucket, target.key, content)
        return
    scratch = _scratch_name(target)
    with write_errors(target):
        try:
            scratch.write_bytes(content)
            sync(scratch)
            scratch.rename(target)
        finally:
            scratch.unlink(missing_ok=True)
        sync(target.parent)


def create_file(target: Path, content: bytes) -> bool:
    """Makes a small file, or an object, that only one writer can make.

    Args:
        content: nobody else's.

    Returns:
        False if it is there already.
    """
    if isinstance(target, ObjectPath):
        return buckets.put_if(target.bucket, target.key, content, None)
    with write_errors(target):
        try:
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            return False
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        return True


def remove_files(files: Iterable[Path]) -> None:
    """Deletes files, or objects, those that are gone already apart."""
    for file in files:
        with write_errors(file):
            if isinstance(file, ObjectPath):
                buckets.delete(file.bucket, [file.key])
            else:
                file.unlink(missing_ok=True)


def make_folder(target: Path) -> None:
    """Creates a folder and its parents, each durable."""
    if isinstance(target, ObjectPath):
        buckets.store_of(target.bucket)  # complains if there is no such bucket
        return
    with write_errors(target):
        missing = [folder for folder in (target, *target.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            sync(folder.parent)


def remove_pending(folder: Path, name: str | None = None) -> None:
    """Deletes what dead writers of ``name`` (of anything, by default) left in a folder, not in those below it."""
    if isinstance(folder, ObjectPath):
        return  # only tables have such; see ``commits``
    leftover = re.compile(re.escape(PENDING) + (".*" if name is None else re.escape(name)) + "-[0-9a-f]{12}")
    with os.scandir(folder) as entries:
        for entry in entries:
            if not leftover.fullmatch(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                # Its name first: its writer may live and be about to commit it, and must not commit what is left of it.
                taken = folder / (entry.name[:-12] + secrets.token_hex(6))
                with suppress(OSError):
                    Path(entry.path).rename(taken)
                    shutil.rmtree(taken, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)


def remove_folder(folder: Path, last: str) -> None:
    """Deletes a folder, its file ``last`` after everything else: what an interrupted deletion leaves can be told."""
    if isinstance(folder, ObjectPath):
        keys = [key for key, _, _ in buckets.below(folder.bucket, folder.key)]
        end = (folder / last).key
        buckets.delete(folder.bucket, (key for key in keys if key != end))
        buckets.delete(folder.bucket, (key for key in keys if key == end))
        return
    with write_errors(folder):
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name == last):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        folder.rmdir()
        sync(folder.parent)


def take_away(folder: Path) -> None:
    """Deletes a folder so that readers see all of it or nothing: it loses its name before its content.

    What an interrupted deletion leaves is scratch, which :func:`remove_pending` deletes. On object storage its own
    objects, what it is known by, go before those below it.
    """
    if isinstance(folder, ObjectPath):
        keys = [key for key, _, _ in buckets.below(folder.bucket, folder.key)]
        own = [key for key in keys if "/" not in key.removeprefix(f"{folder.key}/")]
        buckets.delete(folder.bucket, own)
        buckets.delete(folder.bucket, (key for key in keys if key not in own))
        return
    scratch = _scratch_name(folder)
    with write_errors(folder):
        folder.rename(scratch)
        sync(folder.parent)
        shutil.rmtree(scratch)


def upload(scratch: Path, folder: ObjectPath) -> None:
    """Copies a local folder's files to object storage."""
    files = [Path(path, name) for path, _, names in os.walk(scratch) for name in names]
    keyed = {(folder / file.relative_to(scratch)).key: file for file in files}
    buckets.put_all(folder.bucket, keyed)


def discard(folder: ObjectPath) -> None:
    """Deletes a folder of which nobody knows; what cannot be deleted now is cleared away later."""
    with suppress(StoreError):
        buckets.delete(folder.bucket, (key for key, _, _ in buckets.below(folder.bucket, folder.key)))


def tree_digest(folder: Path, but: str) -> str:
    """SHA-256 over names and bytes of all files below a folder, except its file ``but`` and hidden files."""
    digest = hashlib.sha256()
    if isinstance(folder, ObjectPath):
        keys = [key for key, _, _ in buckets.below(folder.bucket, folder.key)]
        keys = [key for key in keys if "/." not in key[len(folder.key) :] and key != f"{folder.key}/{but}"]
        digests = buckets.at_once(
            lambda key: hashlib.sha256(buckets.get(folder.bucket, key)[0]).digest(), keys
        )
        for key, one in zip(keys, digests, strict=True):
            digest.update(f"{key[len(folder.key) + 1 :]}\0".encode() + one)
        return digest.hexdigest()
    files = [f"{path}/{name}" for path, _, names in os.walk(folder) for name in names if name[0] != "."]
    for file in sorted(files):
        relative = file[len(f"{folder}/") :]
        if relative != but:
            with Path(file).open("rb") as stream:
                digest.update(f"{relative}\0".encode() + hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


@contextmanager
def writer_lock(root: Path) -> Iterator[None]:
    """Makes this process the store's only driver; the lock dies with the process, however that ends.

    Raises:
        StoreError: another process drives this store.
    """
    path = root / LOCK
    with write_errors(root):
        handle = _lock(path)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # while it is still held: whoever comes next makes a new file
        os.close(handle)


def _lock(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), path.stat()):
                os.ftruncate(handle, 0)
                os.pwrite(handle, str(os.getpid()).encode(), 0)
                return handle
        except BlockingIOError as error:
            owner = os.pread(handle, 64, 0).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise StoreError(
                f"{path.parent} is being written by another process (pid {owner}); wait for it or stop it, then "
                "try again"
            ) from error
        except FileNotFoundError:
            pass  # its last holder deleted it between our open and our lock
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # network file systems that cannot lock a folder: the driver's lock has to do
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _scratch_name(target: Path) -> Path:
    return target.with_name(f"{PENDING}{target.name}-{secrets.token_hex(6)}")


def _os_error(error: OSError | RuntimeError) -> tuple[int | None, str]:
    if isinstance(error, OSError):
        return error.errno, error.strerror or str(error)
    found = _RUST_OS_ERROR.search(str(error))
    return (int(found[1]), str(error)) if found else (None, str(error))


def _sync_tree(folder: Path) -> None:
    """Syncs files and folders all at once: one after the other, each waits for a commit of the journal of its own."""
    paths = [f"{path}/{name}" for path, _, files in os.walk(folder) for name in (*files, "")]
    few = [paths[first::_SYNCS_AT_ONCE] for first in range(min(_SYNCS_AT_ONCE, len(paths)))]
    list(_syncing(os.getpid()).map(_sync_all, few))


@lru_cache(maxsize=1)
def _syncing(process: int) -> ThreadPoolExecutor:
    """Threads of one process that wait for disks; they stay: to start them takes longer than to write a small part."""
    return ThreadPoolExecutor(_SYNCS_AT_ONCE, thread_name_prefix="fleetlabel-sync")


def _sync_all(paths: Iterable[str]) -> None:
    for path in paths:
        sync(path)


def sync(path: Path | str) -> None:
    """Waits until a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
