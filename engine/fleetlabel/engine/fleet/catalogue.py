"""Finding drives in a folder of stores: an index of what they hold, and questions to it.

The index is a cache in ``.fleet/catalogue.sqlite``: whoever asks brings it up to date first, reading just the stores
whose commit records changed, so deleting it loses nothing. Several may ask at once. Where it cannot be written (a
folder that may only be read, object storage) it is kept with this user's other caches.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from fleetlabel.engine.fleet.indexing import Entry, entry_of, fingerprint, from_json, to_json
from fleetlabel.engine.fleet.places import distance_m
from fleetlabel.engine.fleet.root import FleetRoot
from fleetlabel.engine.fleet.stores import find_stores, is_store
from fleetlabel.engine.fleet.verifying import last_checks
from fleetlabel.model.errors import StoreNotFoundError, UsageError
from fleetlabel.store.groups import read_group
from fleetlabel.store.object_path import ObjectPath
from fleetlabel.store.tombstones import tombstone_of

_VERSION = 3  # of the index; another one is made anew
_PATIENCE_S = 60.0
_TABLE = "CREATE TABLE stores (name TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, entry TEXT NOT NULL)"


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for; everything that is said must hold.

    Attributes:
        name: of the store or the sequence, with ``*`` and ``?``.
        vehicle: likewise.
        start_ns, stop_ns: the drive has frames in this time.
        box: south, west, north, east in degrees: the drive went through it.
        near: latitude, longitude in degrees, and the distance in metres that the drive came closer than.
        classes: the newest labels have objects of all of them.
        least_objects, least_boxes: at least so many, by class.
        review: ``unlabelled``, ``unreviewed``, ``in-review`` or ``reviewed``.
        check: ``ok``, ``damaged`` or ``unchecked``: what ``fleetlabel verify`` said of the store as it is now.
        intake: ``pass``, ``unknown``, ``warn``, ``fail`` or ``unchecked``: what checks of the drive said.
        quarantined: whether there are samples that could not be used.
    """

    name: str | None = None
    vehicle: str | None = None
    start_ns: int | None = None
    stop_ns: int | None = None
    box: tuple[float, float, float, float] | None = None
    near: tuple[float, float, float] | None = None
    classes: tuple[str, ...] = ()
    least_objects: Mapping[str, int] = field(default_factory=dict)
    least_boxes: Mapping[str, int] = field(default_factory=dict)
    review: str | None = None
    check: str | None = None
    intake: str | None = None
    quarantined: bool | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A store that a query found, and what ``fleetlabel verify`` said of it as it is now."""

    store: Path
    entry: Entry
    check: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query found.

    Attributes:
        found: stores, by time.
        stores: how many there are.
        placeless: names of stores that were left out because their logs do not say where they were.
        unreadable: name -> why, of stores that cannot be read.
    """

    found: tuple[Found, ...]
    stores: int
    placeless: tuple[str, ...]
    unreadable: Mapping[str, str]


def find(
    path: Path,
    query: Query,
    on_read: Callable[[], None] | None = None,
    admit: Callable[[Path], bool] | None = None,
) -> Answer:
    """The stores in a folder that a query describes.

    Args:
        on_read: called after each store that had to be read.
        admit: others than those that it takes are not looked at.

    Raises:
        StoreNotFoundError: there is no store.
        UsageError: places are asked for, and no log says where it was.
    """
    stores = {name: store for name, store in _living(path).items() if admit is None or admit(store)}
    fingerprints, entries = _up_to_date(path, stores, on_read or (lambda: None))
    checks = last_checks(path)
    found, placeless = [], []
    for name, entry in entries.items():
        if entry.problem is not None:
            continue
        if entry.way is None and (query.box or query.near):
            placeless.append(name)
            continue
        known = checks.get(name)
        current = known is not None and known.fingerprint == fingerprints[name]
        check = ("damaged" if known.problems else "ok") if known is not None and current else "unchecked"
        if _fits(entry, query) and query.check in (None, check):
            found.append(Found(stores[name], entry, check))
    if (query.box or query.near) and len(placeless) == len(entries) > 0:
        raise UsageError(
            f"no drive in {path} says where on Earth it was, so places cannot be looked for; a rig folder says so with "
            "`origin: {utm_zone: 32N}` or `origin: {latitude_deg: ..., longitude_deg: ...}` in its rig.yaml"
        )
    found.sort(key=lambda one: (one.entry.start_ns, one.entry.name))
    unreadable = {name: entry.problem for name, entry in entries.items() if entry.problem is not None}
    return Answer(tuple(found), len(entries), tuple(placeless), unreadable)


def forget(path: Path) -> None:
    """Brings an index that there is up to date, so that nothing is left in it of what was deleted."""
    if _index_of(path).exists():
        with suppress(StoreNotFoundError):
            _up_to_date(path, _living(path), lambda: None)


# --- the index ------------------------------------------------------------------------------------------------------


def _up_to_date(
    path: Path, stores: Mapping[str, Path], on_read: Callable[[], None]
) -> tuple[dict[str, str], dict[str, Entry]]:
    """Fingerprint and entry of every store by name; reads those that changed."""
    now = {name: fingerprint(store) for name, store in stores.items()}
    with _opened(_index_of(path)) as index:
        known = dict(index.execute("SELECT name, fingerprint FROM stores"))
        for name in sorted(name for name in now if known.get(name) != now[name]):
            entry = to_json(entry_of(stores[name]))
            # One by one: whoever is interrupted, or asks at the same time, finds what is there already.
            with index:
                index.execute("INSERT OR REPLACE INTO stores VALUES (?, ?, ?)", (name, now[name], entry))
            on_read()
        gone = [(name,) for name in known if name not in now]
        if gone:
            with index:
                index.executemany("DELETE FROM stores WHERE name = ?", gone)
        rows = index.execute("SELECT name, entry FROM stores ORDER BY name").fetchall()
    return now, {name: from_json(entry) for name, entry in rows if name in now}


def _living(path: Path) -> dict[str, Path]:
    """Stores by name, those apart of which a tombstone is left."""
    return {store.name: store for store in find_stores(path) if not _is_buried(store)}


def _is_buried(store: Path) -> bool:
    try:
        return is_store(store) and tombstone_of(read_group(store)) is not None
    except ValueError:  # damaged: told as unreadable
        return False


def _index_of(path: Path) -> Path:
    state = FleetRoot(path).state
    if not isinstance(path, ObjectPath) and state.is_dir() and os.access(state, os.W_OK):
        return state / "catalogue.sqlite"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    told = hashlib.sha256(str(path if isinstance(path, ObjectPath) else path.resolve()).encode()).hexdigest()
    return cache / "fleetlabel" / "catalogues" / f"{told[:24]}.sqlite"


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    """The index; made anew if it is damaged or of another version, in memory if it cannot be written."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        index = _connected(str(file))
    except sqlite3.OperationalError:
        index = _connected(":memory:")
    except sqlite3.DatabaseError:
        file.unlink(missing_ok=True)
        index = _connected(str(file))
    with closing(index):
        yield index


def _connected(file: str) -> sqlite3.Connection:
    index = sqlite3.connect(file, timeout=_PATIENCE_S)
    try:
        index.execute("PRAGMA secure_delete = ON")  # what is deleted is gone from the file as well
        with index:
            index.execute("BEGIN IMMEDIATE")
            if index.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                index.execute("DROP TABLE IF EXISTS stores")
                index.execute(_TABLE)
                index.execute(f"PRAGMA user_version = {_VERSION}")
        index.execute("SELECT count(name), count(fingerprint), count(entry) FROM stores")
    except sqlite3.Error:
        index.close()
        raise
    return index


# --- questions ------------------------------------------------------------------------------------------------------


def _fits(entry: Entry, query: Query) -> bool:
    objects, boxes = entry.objects or {}, entry.boxes or {}
    return (
        (query.name is None or any(fnmatch(name, query.name) for name in (entry.name, entry.sequence)))
        and (query.vehicle is None or fnmatch(entry.vehicle or "", query.vehicle))
        and (query.start_ns is None or entry.stop_ns >= query.start_ns)
        and (query.stop_ns is None or entry.start_ns < query.stop_ns)
        and all(objects.get(name) for name in query.classes)
        and all(objects.get(name, 0) >= least for name, least in query.least_objects.items())
        and all(boxes.get(name, 0) >= least for name, least in query.least_boxes.items())
        and query.review in (None, entry.review)
        and query.intake in (None, entry.intake or "unchecked")
        and query.quarantined in (None, entry.quarantined > 0)
        and _is_there(entry, query)
    )


def _is_there(entry: Entry, query: Query) -> bool:
    way = np.array(entry.way or [], dtype=np.float64).reshape(-1, 2)
    if query.box is not None and not _passes(way, query.box):
        return False
    return query.near is None or distance_m(way, *query.near[:2]) <= query.near[2]


def _passes(way: Sequence[Sequence[float]] | np.ndarray, box: tuple[float, float, float, float]) -> bool:
    """Whether a way has a point, or crosses, within south, west, north, east; west > east spans the date line."""
    south, west, north, east = box
    width = (east - west) % 360.0 or (360.0 if east != west else 0.0)
    points = np.asarray(way, dtype=np.float64)
    x, y = (points[:, 1] - west) % 360.0, points[:, 0]
    x = np.where(x > 180.0 + width / 2, x - 360.0, x)
    # Points of a way are dense; between two of them it is a straight line.
    for share in np.linspace(0.0, 1.0, 9):
        px = x[:-1] + share * np.diff(x) if len(x) > 1 else x
        py = y[:-1] + share * np.diff(y) if len(y) > 1 else y
        if bool(np.any((px >= 0) & (px <= width) & (py >= south) & (py <= north))):
            return True
    return False
