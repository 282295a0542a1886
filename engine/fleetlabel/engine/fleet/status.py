"""How far a fleet is, seen from outside: from its stores' commits, and from the news that its driver leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleetlabel.engine.fleet.failures import Group, group_failures
from fleetlabel.engine.fleet.root import FleetRoot
from fleetlabel.engine.fleet.stages import IN_ORDER
from fleetlabel.model.errors import CorruptStoreError, FleetLabelError
from fleetlabel.store import SequenceStore, Table
from fleetlabel.store.groups import read_group
from fleetlabel.store.hierarchy import walk_groups
from fleetlabel.store.lease import Holder, is_driven
from fleetlabel.store.tombstones import tombstone_of


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A sequence that is begun and has no labels yet.

    Attributes:
        name: of its store.
        stages: stage -> (committed, declared) samples of its tables, in the order of the stages.
    """

    name: str
    stages: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """A fleet at a glance.

    Attributes:
        root: its folder.
        driver: who drives it now, as far as can be told; None: nobody.
        state: running, stopped (by a person), failed, finished, or died: its driver ended without a word.
        sequences, done, failed, waiting, deleted: members; those waiting are not begun.
        frames, quarantined: of those that are done.
        unfinished: sequences that are begun.
        failures: by cause.
        news: what the driver said last: frames/s, time left, dashboard; why it gave up.
    """

    root: Path
    driver: str | None
    state: str
    sequences: int
    done: int
    failed: int
    waiting: int
    deleted: int
    frames: int
    quarantined: int
    unfinished: tuple[Unfinished, ...]
    failures: tuple[Group, ...]
    news: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"root": str(self.root)}


def look(path: Path) -> FleetStatus:
    """The status of a fleet; reads commit records, writes nothing.

    Raises:
        UsageError: there is no fleet.
    """
    root = FleetRoot.open(path)
    ended = root.ended()
    driver = is_driven(root.state)
    done, failed, unfinished, waiting, deleted = [], [], [], 0, 0
    for member in root.members():
        one, store = ended.get(member.name), root.store(member.name)
        if _is_deleted(store):
            deleted += 1
        elif one is not None and one.cause is None and (store / "labels" / (one.labels or "")).exists():
            done.append(one)
        elif one is not None and one.cause is not None:
            failed.append(one)
        elif store.exists():
            unfinished.append(Unfinished(member.name, _committed(store)))
        else:
            waiting += 1
    return FleetStatus(
        root=root.path,
        driver=None if driver is None else str(driver),
        state=_state(root.progress(), driver),
        sequences=len(done) + len(failed) + len(unfinished) + waiting + deleted,
        done=len(done),
        failed=len(failed),
        waiting=waiting,
        deleted=deleted,
        frames=sum(one.frames for one in done),
        quarantined=sum(one.quarantined for one in done),
        unfinished=tuple(unfinished),
        failures=tuple(group_failures(failed)),
        news=root.progress(),
    )


def _is_deleted(store: Path) -> bool:
    try:
        return tombstone_of(read_group(store)) is not None
    except CorruptStoreError:
        return False


def _state(news: Mapping[str, Any], driver: Holder | None) -> str:
    said = str(news.get("state", "starting"))
    if said in ("starting", "running"):
        return "running" if driver is not None else "died"
    return said


def _committed(store: Path) -> dict[str, tuple[int, int]]:
    committed: Counter[str] = Counter()
    declared: Counter[str] = Counter()
    try:
        SequenceStore.open(store)
        for folder, _, is_table in walk_groups(store):
            path = folder.relative_to(store)
            stage = _stage_of(path)
            if not is_table or stage is None:
                continue
            table = Table(store, path.as_posix())
            committed[stage] += sum(stop - start for start, stop in table.ranges())
            declared[stage] += table.length
    except (FleetLabelError, OSError):
        return {}
    return {stage: (committed[stage], declared[stage]) for stage in IN_ORDER if stage in declared}


def _stage_of(table: Path) -> str | None:
    if table.parts[:1] == ("sensors",):
        return "ingest"
    return table.parts[1] if table.parts[:1] == ("runs",) and len(table.parts) > 2 else None
