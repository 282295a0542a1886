"""Zarr groups as small JSON documents: our attributes live under one key of ``zarr.json``, sealed by their hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleetlabel.model.errors import CorruptStoreError, StoreError
from fleetlabel.store import buckets, durable
from fleetlabel.store.object_path import ObjectPath

DOCUMENT = "zarr.json"
_KEY, _SEAL = "fleetlabel", "fleetlabel_sha256"


def write_group(folder: Path, attributes: Mapping[str, Any]) -> None:
    """Makes ``folder`` a Zarr v3 group with these attributes, durably, replacing those it had."""
    durable.make_folder(folder)
    durable.write_file(folder / DOCUMENT, document(attributes))


def read_group(folder: Path) -> dict[str, Any] | None:
    """Our attributes of a Zarr group, None if the folder is no group of ours.

    Raises:
        CorruptStoreError: its ``zarr.json`` is not JSON, or its attributes are not those that were written.
        StoreError: the file system refuses to read it.
    """
    try:
        metadata = json.loads((folder / DOCUMENT).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise CorruptStoreError(
            f"{folder}/{DOCUMENT} is damaged ({error}); restore it from a copy"
        ) from error
    except OSError as error:
        raise StoreError(f"cannot read {folder}/{DOCUMENT}: {error.strerror or error}") from error
    values = metadata.get("attributes") if isinstance(metadata, dict) else None
    if not isinstance(values, dict) or not isinstance(values.get(_KEY), dict):
        return None
    attributes: dict[str, Any] = values[_KEY]
    if values.get(_SEAL) != _seal(attributes):
        raise CorruptStoreError(
            f"{folder}/{DOCUMENT} is damaged (its attributes are not those that were written); "
            "restore it from a copy"
        )
    return attributes


def subgroups(folder: Path) -> list[str]:
    """Names of the folders in a folder that may not be there; scratch is none of them."""
    if isinstance(folder, ObjectPath):
        return buckets.entries(folder.bucket, folder.key)[0]
    entries = folder.iterdir() if folder.exists() else ()
    return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith(durable.PENDING))


def is_untouched(folder: Path) -> bool:
    """Whether a group's document is, byte for byte, what :func:`write_group` wrote."""
    attributes = read_group(folder)
    return attributes is not None and (folder / DOCUMENT).read_bytes() == document(attributes)


def canonical_json(value: object) -> str:
    """One text for equal values, whatever order their keys came in.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot say.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def document(attributes: Mapping[str, Any]) -> bytes:
    """Content of the ``zarr.json`` of a group with these attributes."""
    plain = json.loads(
        json.dumps(attributes, allow_nan=False)
    )  # as it will be read: tuples are lists, keys strings
    values = {_KEY: plain, _SEAL: _seal(plain)}
    return json.dumps({"zarr_format": 3, "node_type": "group", "attributes": values}, indent=1).encode()


def _seal(attributes: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(attributes).encode()).hexdigest()
