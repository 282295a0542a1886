"""Whether everything that a release was made of is as it was frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fleetlabel.engine.release.manifest import Manifest, ReleasedDrive, store_of
from fleetlabel.model.errors import CorruptStoreError, FleetLabelError
from fleetlabel.store import SequenceStore, input_hash, labels_hash, verify
from fleetlabel.store.integrity import is_input
from fleetlabel.store.pins import pins_of


@dataclass(frozen=True, slots=True)
class VerifiedDrive:
    """What came of reading a released drive again.

    Attributes:
        name: of the drive.
        parts: that were read.
        problems: what is wrong, in words; none: it is as it was frozen.
        unpinned: nothing keeps the store's labels from being taken away, since it is a copy or the pin was removed.
    """

    name: str
    parts: int
    problems: tuple[str, ...]
    unpinned: bool = False


def verify_release(
    release: Manifest, root: Path, on_drive: Callable[[VerifiedDrive], None] = lambda one: None
) -> list[VerifiedDrive]:
    """Reads and hashes sensors and labels of every drive again; what else is in a store is not looked at."""
    done = []
    for name, drive in release.drives.items():
        done.append(_verified(release.name, name, drive, store_of(root, name)))
        on_drive(done[-1])
    return done


def open_released(root: Path, name: str, drive: ReleasedDrive) -> SequenceStore:
    """The store of a released drive, whose commit records say that it is what was frozen; nothing is read again.

    Raises:
        CorruptStoreError: it is not; says what differs.
        StoreError: it cannot be opened.
    """
    store = SequenceStore.open(store_of(root, name))
    problems = _differences(store, drive)
    if problems:
        raise CorruptStoreError(
            f"{store.root}: {'; '.join(problems)}. The release cannot be exported; make another one of what there is"
        )
    return store


def _verified(release: str, name: str, drive: ReleasedDrive, path: Path) -> VerifiedDrive:
    parts = 0

    def count(done: int, total: int) -> None:
        nonlocal parts
        parts = done

    try:
        store = SequenceStore.open(path)
        tables = _tables(store, drive.labels)
        problems = _differences(store, drive)
        problems += verify(store, count, lambda table: is_input(table) or table in tables)
        unpinned = pins_of(path).get(release) != drive.labels
    except (FleetLabelError, OSError) as error:
        return VerifiedDrive(name, parts, (str(error),))
    return VerifiedDrive(name, parts, tuple(problems), unpinned)


def _differences(store: SequenceStore, drive: ReleasedDrive) -> list[str]:
    """What is not as it was frozen, by commit records, in words."""
    deleted = "".join(f" ({one})" for one in store.tombstones())
    problems = []
    if input_hash(store) != drive.input_sha256:
        problems.append(f"sensors, poses or calibration are not what was frozen{deleted}")
    if labels_hash(store, drive.labels) != drive.labels_sha256:
        problems.append(f"labels {drive.labels} are not what was frozen{deleted}")
    return problems


def _tables(store: SequenceStore, version: str | None) -> set[str]:
    """Tables of a label version, and of those that it was made on."""
    found: set[str] = set()
    while version is not None:
        labels = store.labels(version)
        found.update(labels.table_paths)
        version = labels.base
    return found
