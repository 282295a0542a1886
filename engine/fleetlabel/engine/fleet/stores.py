"""The stores that a path stands for: one, or all those of a fleet's folder; and the right to change them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fleetlabel.engine.fleet.root import FleetRoot
from fleetlabel.engine.fleet.sources import FOLDER
from fleetlabel.model.errors import CorruptStoreError, StoreDeletedError, StoreNotFoundError
from fleetlabel.store import SequenceStore
from fleetlabel.store.groups import DOCUMENT, read_group
from fleetlabel.store.lease import Lease


def is_store(path: Path) -> bool:
    """Whether a folder is a store, be it damaged or just the tombstone of one."""
    try:
        return "schema" in (read_group(path) or {})
    except CorruptStoreError:
        return True


def is_fleet(path: Path) -> bool:
    """Whether a path stands for a folder of stores, not for a store."""
    return not is_store(path) and (FleetRoot(path).exists() or next(_stores_in(path), None) is not None)


def find_stores(path: Path) -> list[Path]:
    """The store at a path, or all stores in the folder, by name.

    Raises:
        StoreNotFoundError: there is none.
    """
    found = [path] if is_store(path) else list(_stores_in(path))
    if not found and not FleetRoot(path).exists():
        raise StoreNotFoundError(
            f"{path} is neither a FleetLabel store nor a folder of stores; `fleetlabel run DRIVES --out {path}` "
            "makes some"
        )
    return found


def living(stores: Iterable[Path]) -> Iterator[Path]:
    """Stores of which more than a tombstone is left."""
    for store in stores:
        try:
            SequenceStore.open(store)
        except StoreDeletedError:
            continue
        yield store


def fleet_of(store: Path) -> FleetRoot | None:
    """The fleet whose folder a store is in, if it is in one."""
    root = FleetRoot(store.parent)
    return root if root.exists() else None


@contextmanager
def nobody_drives(path: Path) -> Iterator[None]:
    """While the context lasts, no fleet is run into this folder, or into the one that this store is in.

    Raises:
        StoreError: one is.
    """
    with ExitStack() as stack:
        root = fleet_of(path.resolve()) if is_store(path) else FleetRoot(path)
        if root is not None and root.exists():
            stack.enter_context(Lease(root.state))
        yield


def _stores_in(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        return
    for child in sorted(path.iterdir()):
        if child.name != FOLDER and (child / DOCUMENT).exists() and is_store(child):
            yield child
