"""The store's tree of groups, down to its tables: parts are thousands of folders and are never walked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from fleetlabel.model.errors import CorruptStoreError
from fleetlabel.store import buckets
from fleetlabel.store.durable import LOCK, PENDING
from fleetlabel.store.groups import DOCUMENT, read_group, write_group
from fleetlabel.store.object_path import ObjectPath

JOURNAL = "journal/edits.log"  # the people's edits
LEASES = "journal/leases.json"  # where they were sent
INTAKE = "intake"  # what checks said of the drive when it came
JOURNAL_LOCK = f"journal/{LOCK}"  # on object storage
INDEX = "commits.json"  # of a table on object storage

_FILES = (LOCK, JOURNAL.rpartition("/")[2])
_PART = re.compile(r"(\d{8,})-(\d{8,})")
_OBJECT_PART = re.compile(rf"{_PART.pattern}-[0-9a-f]{{12}}|{re.escape(INDEX)}")


def part_name(start: int, stop: int) -> str:
    """Name of the folder of a table's part."""
    return f"{start:08d}-{stop:08d}"


def part_ranges(table: Path) -> list[tuple[int, int]]:
    """Ranges of samples of the parts in a table's folder, ascending."""
    with os.scandir(table) as entries:
        found = [_PART.fullmatch(entry.name) for entry in entries]
    return sorted((int(match[1]), int(match[2])) for match in found if match)


def is_table(folder: Path) -> bool:
    """Whether a folder is a group that declares a table.

    Raises:
        CorruptStoreError: its document is damaged.
    """
    return "length" in (read_group(folder) or {})


def add_group(root: Path, path: str) -> None:
    """Makes every group on the way from the root down to ``path`` that is not there yet."""
    folder = root
    for name in Path(path).parts:
        folder = folder / name
        if read_group(folder) is None:
            write_group(folder, {})


def walk_groups(root: Path) -> Iterator[tuple[Path, list[str], bool]]:
    """Every folder from the root down to tables, the names in it, and whether it is a table.

    Scratch of writers is left out. A table that lost its document is known by its parts.
    """
    walk = _walk_objects(root) if isinstance(root, ObjectPath) else os.walk(root)
    for path, children, files in walk:
        children[:] = sorted(name for name in children if not name.startswith(PENDING))
        names = children + [name for name in files if not name.startswith(PENDING)]
        folder = path if isinstance(path, ObjectPath) else Path(path)
        table = _looks_like_table(folder, names)
        yield folder, names, table
        if table:
            children.clear()


def strangers(root: Path) -> list[Path]:
    """What lies in a store, parts' insides apart, and that no FleetLabel put there."""
    known = {root / name for name in (LOCK, JOURNAL, JOURNAL_LOCK, LEASES)}
    found = []
    for folder, names, table in walk_groups(root):
        for name in names:
            if name == DOCUMENT or (folder / name) in known:
                continue
            ours = is_part(name) if table else (folder / name / DOCUMENT).exists()
            if not ours:
                found.append(folder / name)
    return found


def _walk_objects(folder: ObjectPath) -> Iterator[tuple[ObjectPath, list[str], list[str]]]:
    """As ``os.walk``; what is a file in a local store, and a folder here, is told as one and not walked into."""
    found, objects = buckets.entries(folder.bucket, folder.key)
    folders = [name for name in found if name not in _FILES]
    yield folder, folders, [*objects, *(name for name in found if name in _FILES)]
    for name in folders:
        yield from _walk_objects(folder / name)


def is_part(name: str) -> bool:
    """Whether a name in a table's folder is that of a part, or of the index of parts."""
    return bool(_PART.fullmatch(name) or _OBJECT_PART.fullmatch(name))


def _looks_like_table(folder: Path, names: list[str]) -> bool:
    try:
        attributes = read_group(folder)
    except CorruptStoreError:
        attributes = None
    if attributes is None:
        return any(is_part(name) for name in names)
    return "length" in attributes
