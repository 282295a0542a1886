"""Zarr groups as small JSON documents: our attributes live under one key of ``zarr.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleetlabel.model.errors import CorruptStoreError
from fleetlabel.store import durable

_KEY = "fleetlabel"


def write_group(folder: Path, attributes: Mapping[str, Any]) -> None:
    """Makes ``folder`` a Zarr v3 group with these attributes, durably, replacing those it had."""
    durable.make_folder(folder)
    metadata = {"zarr_format": 3, "node_type": "group", "attributes": {_KEY: attributes}}
    durable.write_file(folder / "zarr.json", json.dumps(metadata, indent=1).encode())


def read_group(folder: Path) -> dict[str, Any] | None:
    """Our attributes of a Zarr group, None if the folder is no group of ours.

    Raises:
        CorruptStoreError: its ``zarr.json`` is not JSON.
    """
    try:
        metadata = json.loads((folder / "zarr.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise CorruptStoreError(f"{folder}/zarr.json is damaged ({error}); restore it from a copy") from error
    attributes: dict[str, Any] | None = metadata.get("attributes", {}).get(_KEY)
    return attributes
