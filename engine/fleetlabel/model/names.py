"""Names that become folders of a store: sensors and label versions."""

from __future__ import annotations

_MAX_BYTES = 200  # file systems take 255, and scratch names are longer than the name


def name_problem(name: str) -> str | None:
    """Why a name cannot be a folder of a Zarr store, in words; None if it can."""
    if not name.strip():
        return "is empty"
    if "/" in name or not name.isprintable():
        return "contains a slash or a character that cannot be printed"
    if name.startswith((".", "__")) or name == "zarr.json":
        return "begins with a dot or two underscores, or is zarr.json, which Zarr keeps for itself"
    if len(name.encode()) > _MAX_BYTES:
        return f"is longer than {_MAX_BYTES} bytes"
    return None
