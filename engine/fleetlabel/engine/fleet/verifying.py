"""Whether everything in a fleet's folder is as it was committed: every store read again, on all cores."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleetlabel.engine.fleet.indexing import fingerprint
from fleetlabel.engine.fleet.root import RELEASES, FleetRoot
from fleetlabel.engine.fleet.sources import FOLDER
from fleetlabel.engine.fleet.stores import find_stores, is_store
from fleetlabel.engine.pipeline.ledger import ledger_path
from fleetlabel.model.errors import FleetLabelError, StoreDeletedError, StoreError
from fleetlabel.store import SequenceStore, durable, verify
from fleetlabel.store.durable import PENDING
from fleetlabel.store.groups import subgroups
from fleetlabel.store.hierarchy import strangers

_NOTES = "verified.json"  # in a fleet's folder of state


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of checking one store.

    Attributes:
        store: that was checked; of what lies beside the stores, the fleet's folder.
        parts: that were read.
        problems: what is wrong, in words.
        deleted: by whom and why, if all that is left of the store is its tombstone.
        wall_s: how long it took.
        fingerprint: of the store when the check began; see ``indexing``.
    """

    store: Path
    parts: int
    problems: tuple[str, ...]
    deleted: str | None = None
    wall_s: float = 0.0
    fingerprint: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"store": str(self.store)}


@dataclass(frozen=True, slots=True)
class LastCheck:
    """What is kept of a check: when it ended, how many problems it found, and the store's fingerprint then."""

    at_ns: int
    problems: int
    fingerprint: str


def check_store(path: Path, on_part: Callable[[int, int], None] | None = None) -> Checked:
    """Reads and hashes everything in a store again, and looks for files that do not belong there.

    Args:
        on_part: called after each part with how many are done, and how many there are.
    """
    began_s, parts, stamp = time.perf_counter(), 0, fingerprint(path)

    def count(done: int, total: int) -> None:
        nonlocal parts
        parts = done
        if on_part:
            on_part(done, total)

    deleted = None
    try:
        problems = verify(SequenceStore.open(path), count)
        problems += [f"{stranger.relative_to(path)}: {_UNKNOWN}" for stranger in strangers(path)]
    except StoreDeletedError as error:
        deleted, problems = str(error), []
    except (FleetLabelError, OSError) as error:
        problems = [str(error)]
    wall_s = round(time.perf_counter() - began_s, 3)
    return Checked(path, parts, tuple(problems), deleted, wall_s, stamp)


def check_fleet(path: Path, workers: int, on_store: Callable[[Checked], None] | None = None) -> list[Checked]:
    """Checks every store in a folder, in processes of their own, and what else lies there.

    Args:
        path: of a fleet, or any folder of stores.
        workers: processes at once.
        on_store: called after each store.

    Returns:
        One per store, by name, and one more if something in a fleet's folder is wrong besides them.

    Raises:
        StoreNotFoundError: there is no store.
    """
    done = []
    for one in _checked(find_stores(path), workers):
        done.append(one)
        if on_store:
            on_store(one)
    _note(path, done)
    beside = _beside(path) if FleetRoot(path).exists() else ()
    return sorted(done, key=lambda one: one.store) + ([Checked(path, 0, beside)] if beside else [])


def last_checks(path: Path) -> dict[str, LastCheck]:
    """What the last checks of a fleet's stores said, by name."""
    try:
        listed = json.loads((FleetRoot(path).state / _NOTES).read_bytes())
        return {name: LastCheck(**entry) for name, entry in listed.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _note(path: Path, done: Sequence[Checked]) -> None:
    """Keeps what checks said, for the catalogue; not where nothing may be written."""
    root = FleetRoot(path)
    if not root.exists():
        return
    now = time.time_ns()
    notes = {one.store.name: LastCheck(now, len(one.problems), one.fingerprint) for one in done}
    listed = {name: asdict(one) for name, one in (last_checks(path) | notes).items()}
    with suppress(StoreError):
        durable.write_file(root.state / _NOTES, json.dumps(listed, indent=1).encode())


_UNKNOWN = "FleetLabel did not put it there; move it away if nobody needs it here"


def _checked(stores: Sequence[Path], workers: int) -> Iterator[Checked]:
    if workers == 1 or len(stores) <= 1:
        yield from map(check_store, stores)
        return
    context = multiprocessing.get_context(
        "forkserver"
    )  # a fork of this process would inherit its threads' locks
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(min(workers, len(stores)), context) as pool:
        # Large ones first, so that no process is left alone with one in the end.
        largest_first = sorted(stores, key=_n_entries, reverse=True)
        for future in as_completed([pool.submit(check_store, store) for store in largest_first]):
            yield future.result()


def _n_entries(store: Path) -> int:
    """About how much there is in a store: parts of its sensors."""
    sensors = store / "sensors"
    return sum(len(subgroups(sensors / name)) for name in subgroups(sensors))


def _beside(path: Path) -> tuple[str, ...]:
    """What is wrong in a folder of stores besides the stores."""
    root, problems = FleetRoot(path), []
    try:
        members = root.members()
    except FleetLabelError as error:
        members, problems = [], [str(error)]
    begun = root.ended()
    for member in members:
        one = begun.get(member.name)
        if one is not None and one.cause is None and not is_store(root.store(member.name)):
            problems.append(f"{member.name}.zarr: it was labelled, and its store is gone")
    stores = find_stores(path)
    pages = (store.with_suffix(".html") for store in stores)  # as `fleetlabel report` names them
    known = {path / FOLDER, path / RELEASES, *stores, *pages, *(ledger_path(store) for store in stores)}
    for entry in sorted(path.iterdir()):
        if entry not in known and not entry.name.startswith(PENDING):
            problems.append(f"{entry.name}: {_UNKNOWN}")
    return tuple(problems)
