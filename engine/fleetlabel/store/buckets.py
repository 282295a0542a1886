"""Objects of a bucket: read, written, written only if nobody else did, listed, deleted. Only here is obstore used.

Where local files are made durable by fsync and exclusive by rename, an object is durable once it is put, and exclusive
by a conditional put (If-None-Match, If-Match). Throttling, refused and cut connections, and errors of the server are
tried again by obstore for as long as ``_PATIENCE_S``; a bucket is asked once whether it answers at all, so that a wrong
name, address or key is known within seconds.

Credentials and endpoint come from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
AWS_REGION, AWS_ENDPOINT_URL, and those of containers and machines in a cloud.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fleetlabel.model.errors import StoreError, StoreWriteError

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import ObjectStore

T = TypeVar("T")
R = TypeVar("R")

_PATIENCE_S, _RETRIES, _TIMEOUT_S = 120, 12, 60
_FIRST_PATIENCE_S, _FIRST_RETRIES, _FIRST_TIMEOUT_S = 6, 5, 3
_ATTEMPTS = 6
_AT_ONCE = 16
_MULTIPART_BYTES = 16 << 20


def store_of(bucket: str) -> ObjectStore:
    """A bucket, opened; that it answers was seen once in this process.

    Raises:
        StoreError: it does not; says why and what to do.
    """
    return _store_of(bucket, _endpoint(), os.getpid())


def get(bucket: str, key: str) -> tuple[bytes, str | None]:
    """Content and version of an object.

    Raises:
        FileNotFoundError: there is none.
        StoreError: it cannot be read.
    """
    import obstore

    with told_errors(f"{bucket}/{key}"):
        found = obstore.get(store_of(bucket), key)
        return bytes(found.bytes()), found.meta["e_tag"]


def put(bucket: str, key: str, content: bytes | Path) -> None:
    """Writes an object, whatever was there.

    Raises:
        StoreWriteError: it cannot be written.
    """
    import obstore

    with told_errors(f"{bucket}/{key}", writing=True):
        obstore.put(store_of(bucket), key, content, chunk_size=_MULTIPART_BYTES)


def put_if(bucket: str, key: str, content: bytes, version: str | None) -> bool:
    """Writes an object if it is still the version that was read, or, for None, if there is none.

    Args:
        content: nobody else's: it tells a put of ours, of which the answer was lost, from another writer's.

    Returns:
        False if somebody else wrote it meanwhile.

    Raises:
        StoreWriteError: it cannot be written.
    """
    import obstore
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    mode: PutMode = "create" if version is None else {"e_tag": version}
    for attempt in range(_ATTEMPTS):
        try:
            with told_errors(f"{bucket}/{key}", writing=True):
                obstore.put(store_of(bucket), key, content, mode=mode)
            return True
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            return _content(bucket, key) == content
        except StoreWriteError:  # obstore repeats no conditional put of which the answer was lost
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.1 * 2**attempt)
    raise AssertionError("unreachable")


def put_all(bucket: str, files: Mapping[str, Path]) -> None:
    """Writes files as objects by key, many at once."""
    at_once(lambda item: put(bucket, *item), files.items())


def get_all(bucket: str, keys: Iterable[str]) -> list[bytes]:
    """Contents of objects, in order."""
    return at_once(lambda key: get(bucket, key)[0], keys)


def at_once(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """What work gives for each item, in order, done many at once: most of it is waiting."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(work, items))


def size(bucket: str, key: str) -> int | None:
    """Bytes of an object, None if there is none."""
    import obstore

    try:
        with told_errors(f"{bucket}/{key}"):
            return int(obstore.head(store_of(bucket), key)["size"])
    except FileNotFoundError:
        return None


def is_prefix(bucket: str, folder: str) -> bool:
    """Whether there are objects below a folder."""
    import obstore

    with told_errors(f"{bucket}/{folder}"):
        return any(len(some) for some in obstore.list(store_of(bucket), prefix=f"{folder}/", chunk_size=1))


def entries(bucket: str, folder: str) -> tuple[list[str], list[str]]:
    """Names of the folders and of the objects right below a folder, each sorted."""
    import obstore

    with told_errors(f"{bucket}/{folder}"):
        found = obstore.list_with_delimiter(store_of(bucket), prefix=f"{folder}/" if folder else None)
    objects = [one["path"] for one in found["objects"]]
    folders, files = (
        sorted({path.rstrip("/").rpartition("/")[2] for path in paths})
        for paths in (found["common_prefixes"], objects)
    )
    return folders, files


def below(bucket: str, folder: str, after: str | None = None) -> list[tuple[str, int, datetime]]:
    """Key, bytes and time of all objects below a folder, however deep, by key.

    Args:
        after: only those whose keys come after this one.
    """
    import obstore

    with told_errors(f"{bucket}/{folder}"):
        listed = obstore.list(store_of(bucket), prefix=f"{folder}/" if folder else None, offset=after)
        found = [(one["path"], one["size"], one["last_modified"]) for some in listed for one in some]
    return sorted(found)


def delete(bucket: str, keys: Iterable[str]) -> None:
    """Deletes objects; those that are gone already are no error.

    Raises:
        StoreWriteError: some cannot be deleted.
    """
    import obstore

    paths = list(keys)
    with told_errors(f"{bucket}/{paths[0] if paths else ''}", writing=True):
        for start in range(0, len(paths), 1000):
            obstore.delete(store_of(bucket), paths[start : start + 1000])


def _content(bucket: str, key: str) -> bytes | None:
    try:
        return get(bucket, key)[0]
    except FileNotFoundError:
        return None


@lru_cache(maxsize=64)
def _store_of(bucket: str, endpoint: str, process: int) -> ObjectStore:
    import obstore

    first = _open(bucket, _FIRST_RETRIES, _FIRST_PATIENCE_S, _FIRST_TIMEOUT_S)
    with told_errors(bucket):
        next(iter(obstore.list(first, prefix="zarr.json/", chunk_size=1)), None)
    return _open(bucket, _RETRIES, _PATIENCE_S, _TIMEOUT_S)


def _open(bucket: str, retries: int, patience_s: int, seconds: int) -> ObjectStore:
    from obstore.store import from_url

    config: dict[str, Any] = {}
    if bucket.startswith("s3:") and not (
        os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    ):
        config["region"] = "us-east-1"
    opened: ObjectStore = from_url(  # type: ignore[call-overload]  # options that all kinds of storage have
        bucket,
        config=config,
        client_options={
            "allow_http": _endpoint().startswith("http:"),
            "connect_timeout": timedelta(seconds=3),
            "timeout": timedelta(seconds=seconds),
        },
        retry_config={
            "max_retries": retries,
            "retry_timeout": timedelta(seconds=patience_s),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=min(5, seconds / 3)),
                "base": 2,
            },
        },
    )
    return opened


@contextmanager
def told_errors(place: str, *, writing: bool = False) -> Iterator[None]:
    """Says what is wrong with a bucket and what to do, as far as it can be told; lets other errors through.

    Raises:
        StoreError: the bucket cannot be read.
        StoreWriteError: it cannot be written.
    """
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

    try:
        yield
    except (StoreError, AlreadyExistsError, PreconditionError):
        raise
    except (BaseError, OSError, RuntimeError) as error:  # the last is zarrs'
        reason = _reason(str(error))
        if reason is None:
            if not isinstance(error, BaseError):
                raise
            reason = str(error).splitlines()[0]
        kind, verb = (StoreWriteError, "write") if writing else (StoreError, "read")
        raise kind(f"cannot {verb} {place}: {reason}") from error


_KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def _reason(text: str) -> str | None:
    """What an error of obstore means for a user, None if that cannot be told."""
    where = _endpoint() or "its cloud"
    if "NoSuchBucket" in text:
        return f"there is no such bucket at {where}; make it, or correct its name or AWS_ENDPOINT_URL"
    if "169.254.169.254" in text or "CredentialsNotFound" in text or "MissingCredentials" in text:
        return f"no credentials were found; {_KEYS} (and AWS_SESSION_TOKEN, if you have one)"
    refused = (
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "AccessDenied",
        "403 Forbidden",
        "401 Unauthorized",
    )
    if any(code in text for code in refused):
        return f"{where} refused these credentials; {_KEYS} of somebody who may read and write it"
    if "301 Moved" in text or "PermanentRedirect" in text:
        return "the bucket is in another region; set AWS_REGION to it"
    if "error sending request" in text or "error trying to connect" in text or "timed out" in text:
        return f"{where} does not answer; look at the network, and at AWS_ENDPOINT_URL"
    if "SlowDown" in text or "503 Service Unavailable" in text:
        return f"{where} was too busy for too long; try again later, with fewer --workers"
    return None


def _endpoint() -> str:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
