"""What people deleted on purpose, and what is to be done so that it does not come back.

Of a deleted drive the root's document is left, with a tombstone in it. A store that lost a sensor or a range of frames
has a tombstone for each below ``tombstones``. The frames themselves stay, empty, so that every other frame keeps its
number; ego poses of deleted times are put on the straight way between those before and after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.errors import StoreDeletedError
from fleetlabel.store.groups import read_group, subgroups, write_group
from fleetlabel.store.hierarchy import add_group
from fleetlabel.store.info import SequenceInfo
from fleetlabel.store.part import Part

FOLDER = "tombstones"
_KEY = "tombstone"  # in a root's document
_BY_FRAME = ("sensors/", "runs/")  # tables with a sample per frame, and those of boxes of label versions


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """Something that was deleted.

    Attributes:
        number: from 1; 0 is the whole drive's.
        who, at_ns, why: said by whoever deleted it.
        name: of the sequence.
        sensor, kind: that was deleted, if one was: its name, and what kind of sensor it was.
        frames: ``start, stop`` of the frames that were, if some were.
        times_ns: ``start, stop`` of their times.
        sha256: content hash of the store as it was; empty if it was too damaged to have one.
        tables: path -> content hash of each table that lost something, as it was.
        finished: nothing of it is left.
    """

    number: int
    who: str
    at_ns: int
    why: str
    name: str
    sensor: str | None = None
    kind: str | None = None
    frames: tuple[int, int] | None = None
    times_ns: tuple[int, int] | None = None
    sha256: str = ""
    tables: Mapping[str, str] = field(default_factory=dict)
    finished: bool = False

    @property
    def what(self) -> str:
        """What was deleted, in words."""
        if self.sensor is not None:
            return f"sensor {self.sensor} of {self.name}"
        if self.frames is not None:
            start, stop = self.frames
            return f"frames {start}..{stop - 1} of {self.name}"
        return f"drive {self.name}"

    def __str__(self) -> str:
        when = datetime.fromtimestamp(self.at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        return f"{self.what} was deleted by {self.who} on {when}: {self.why}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Tombstone:
        """The inverse of :meth:`to_dict`."""
        pairs = {name: tuple(document[name]) for name in ("frames", "times_ns") if document[name]}
        return cls(**(dict(document) | pairs))


# --- of a whole drive -----------------------------------------------------------------------------------------------


def bury(root: Path, head: Mapping[str, Any], tombstone: Tombstone) -> None:
    """Makes a store's root its tombstone: from now on it cannot be opened."""
    write_group(root, {"schema": head["schema"], "name": head["name"], _KEY: tombstone.to_dict()})


def tombstone_of(head: Mapping[str, Any] | None) -> Tombstone | None:
    """The tombstone that is all that a store's root says, if it was deleted."""
    return Tombstone.from_dict(head[_KEY]) if head and _KEY in head else None


def refuse_deleted(root: Path, head: Mapping[str, Any] | None) -> None:
    """Complains if a store was deleted.

    Raises:
        StoreDeletedError: says by whom, when and why.
    """
    tombstone = tombstone_of(head)
    if tombstone is not None:
        raise StoreDeletedError(
            f"{root}: {tombstone}. It is not ingested again unless somebody says so with `fleetlabel delete {root} "
            "--readmit --why REASON`"
        )


# --- of parts of a drive --------------------------------------------------------------------------------------------


def tombstones_of(root: Path) -> tuple[Tombstone, ...]:
    """Those of sensors and ranges of frames, oldest first."""
    heads = (read_group(root / FOLDER / name) for name in subgroups(root / FOLDER))
    return tuple(Tombstone.from_dict(head) for head in heads if head)


def write_tombstone(root: Path, tombstone: Tombstone) -> None:
    """Keeps a tombstone with a store, in the place of an earlier one of its number."""
    add_group(root, FOLDER)
    write_group(root / FOLDER / f"{tombstone.number:06d}", tombstone.to_dict())


def deleted_frames(root: Path, table: str) -> list[tuple[int, int]]:
    """Ranges of frames of which a table must hold nothing."""
    if not is_by_frame(table):
        return []
    return [tombstone.frames for tombstone in tombstones_of(root) if tombstone.frames is not None]


def is_by_frame(table: str) -> bool:
    """Whether a table has a sample per frame of its sequence, by its path."""
    return table.startswith(_BY_FRAME) or (table.startswith("labels/") and "/boxes" in table)


def blanked(part: Part, start: int, deleted: Sequence[tuple[int, int]], missing: int) -> Part:
    """A part that begins at frame ``start`` without what it holds of deleted frames, and without a checkpoint.

    Args:
        missing: the status of samples that are not there.
    """
    frame = start + np.arange(len(part))
    gone = np.zeros(len(part), dtype=np.bool_)
    for first, stop in deleted:
        gone |= (frame >= first) & (frame < stop)
    samples = {}
    for name, column in part.samples.items():
        if name != "timestamp_ns":
            column = column.copy()
            column[gone] = missing if name == "status" else 0
        samples[name] = column
    rows = ~np.repeat(gone, part.counts)
    flat = {name: column[rows] for name, column in part.flat.items()}
    return Part(samples, np.where(gone, 0, part.counts), flat)


def as_it_is_now(info: SequenceInfo, tombstones: Sequence[Tombstone]) -> SequenceInfo:
    """What a store knows of a sequence once something of it was deleted."""
    for tombstone in tombstones:
        if tombstone.sensor is not None:
            left = tuple(sensor for sensor in info.sensors if sensor.name != tombstone.sensor)
            info = replace(info, sensors=left)
        elif tombstone.times_ns is not None:
            info = replace(info, trajectory=_straightened(info.trajectory, *tombstone.times_ns))
    return info


def _straightened(trajectory: Trajectory, start_ns: int, stop_ns: int) -> Trajectory:
    times, poses = trajectory.timestamp_ns, trajectory.world_from_ego.copy()
    inside = (times >= start_ns) & (times < stop_ns)
    if inside.all():
        poses[:] = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    elif inside.any():
        kept = Trajectory(times[~inside], poses[~inside])
        within = np.clip(times[inside], kept.timestamp_ns[0], kept.timestamp_ns[-1])
        poses[inside] = kept.poses_at(within)
    return replace(trajectory, world_from_ego=poses)
