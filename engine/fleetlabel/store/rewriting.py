"""Parts put in the place of committed ones: the only exception to what is committed staying as it is.

The new part is written whole beside the store's tables first. Whoever dies between taking the old one away and
putting the new one in its place leaves that behind, and :func:`finish_rewriting` puts it there.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fleetlabel.model.errors import UsageError
from fleetlabel.store import durable
from fleetlabel.store.durable import PENDING
from fleetlabel.store.hierarchy import walk_groups
from fleetlabel.store.object_path import ObjectPath
from fleetlabel.store.part import Part
from fleetlabel.store.table import CommitRecord, Quarantined, Table

# Nobody takes it for a table, and it is not scratch that is cleared away.
_STAGED = f"{PENDING}staged"


def rewrite_part(
    root: Path,
    table: Table,
    record: CommitRecord,
    part: Part,
    *,
    provenance: Mapping[str, Any],
    quarantined: Sequence[Quarantined] = (),
) -> None:
    """Puts a part in the place of the committed one with that record.

    Raises:
        UsageError: the store is on object storage.
        StoreWriteError: the file system refused; the old part or the new one is there, or, until
            :func:`finish_rewriting` is called, neither.
    """
    if isinstance(root, ObjectPath):
        raise UsageError(
            f"{root} is on object storage, where parts are not rewritten; copy the store to a folder, delete there, "
            "delete the whole store here, and copy it back"
        )
    staged = Table.declare(root / _STAGED, table.path, table.length, table.attributes)
    staged.write(record.start, part, provenance=provenance, quarantined=quarantined)
    _exchange(staged.part_folder(record.start, record.stop), table.part_folder(record.start, record.stop))


def finish_rewriting(root: Path) -> None:
    """Puts parts in their places that somebody died over, and clears away."""
    staging = root / _STAGED
    if isinstance(root, ObjectPath) or not staging.exists():
        return
    for folder, _, is_table in walk_groups(staging):
        if is_table:
            path = folder.relative_to(staging).as_posix()
            staged, table = Table(staging, path), Table(root, path)
            for start, stop in staged.ranges():
                _exchange(staged.part_folder(start, stop), table.part_folder(start, stop))
    with durable.write_errors(staging):
        shutil.rmtree(staging)
        durable.sync(root)


def _exchange(staged: Path, target: Path) -> None:
    if target.exists():
        durable.take_away(target)
    with durable.write_errors(target):
        staged.rename(target)
        durable.sync(target.parent)
