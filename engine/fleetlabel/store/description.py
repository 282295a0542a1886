"""What a store says of its sequence: the root's document, calibration named by its content, frames and ego poses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.errors import CorruptStoreError
from fleetlabel.model.sensors import Sensor
from fleetlabel.store.groups import canonical_json, read_group, write_group
from fleetlabel.store.hierarchy import INDEX
from fleetlabel.store.info import SequenceInfo
from fleetlabel.store.object_path import ObjectPath
from fleetlabel.store.part import Part
from fleetlabel.store.table import Table

SCHEMA_VERSION = 1
CALIBRATION, FRAMES, EGO = "calibration", "frames", "ego"
GROUPS = (CALIBRATION, "sensors", "runs", "labels")


def head_and_calibration(info: SequenceInfo) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Attributes of the store's root, and the calibration document that they name by its content."""
    sensors = [sensor.to_dict() for sensor in info.sensors]
    head = {
        "schema": SCHEMA_VERSION,
        "name": info.name,
        "calibration": _content_id(sensors),
        "world_offset_m": info.world_offset_m.tolist(),
        "max_extrapolation_ns": info.trajectory.max_extrapolation_ns,
        "source": dict(info.source),
    }
    return head, sensors


def write_description(root: Path, info: SequenceInfo) -> dict[str, Any]:
    """Everything of a new store but its root's document, whose attributes it returns."""
    head, sensors = head_and_calibration(info)
    for group in GROUPS:
        write_group(root / group, {})
    write_group(root / CALIBRATION / head["calibration"], {"sensors": sensors})
    frames = Table.declare(root, FRAMES, info.n_frames)
    frames.write(0, _samples_only({"timestamp_ns": info.frame_timestamp_ns}))
    ego = Table.declare(root, EGO, len(info.trajectory.timestamp_ns))
    columns = {
        "timestamp_ns": info.trajectory.timestamp_ns,
        "world_from_ego": info.trajectory.world_from_ego,
    }
    ego.write(0, _samples_only(columns))
    return head


def read_description(root: Path, head: Mapping[str, Any]) -> SequenceInfo:
    """What a store whose root's document has these attributes knows of its sequence.

    Raises:
        CorruptStoreError: its calibration is lost or was changed.
    """
    if isinstance(root, ObjectPath):
        # Each task opens the store again, and each array is a request: what was read of the same parts is kept.
        parts = tuple(_version(root / table / INDEX) for table in (EGO, FRAMES))
        return _remembered(root, canonical_json(head), parts)
    return _read(root, head)


def same_frames(mine: SequenceInfo, theirs: SequenceInfo) -> bool:
    """Whether two descriptions have the same frames and ego poses."""
    return (
        np.array_equal(mine.frame_timestamp_ns, theirs.frame_timestamp_ns)
        and np.array_equal(mine.trajectory.timestamp_ns, theirs.trajectory.timestamp_ns)
        and np.array_equal(mine.trajectory.world_from_ego, theirs.trajectory.world_from_ego)
    )


@lru_cache(maxsize=64)
def _remembered(root: Path, head: str, parts: tuple[bytes | None, ...]) -> SequenceInfo:
    return _read(root, json.loads(head))


def _version(index: Path) -> bytes | None:
    """What tells a table's committed parts from other ones."""
    try:
        return index.read_bytes()
    except FileNotFoundError:
        return None


def _read(root: Path, head: Mapping[str, Any]) -> SequenceInfo:
    calibration = read_group(root / CALIBRATION / head["calibration"])
    if calibration is None or _content_id(calibration["sensors"]) != head["calibration"]:
        raise CorruptStoreError(
            f"{root} has lost its calibration {head['calibration']}, or it was changed; restore it from a copy"
        )
    ego = Table(root, EGO).read()
    return SequenceInfo(
        name=head["name"],
        sensors=tuple(Sensor.from_dict(description) for description in calibration["sensors"]),
        frame_timestamp_ns=Table(root, FRAMES).read().samples["timestamp_ns"],
        trajectory=Trajectory(
            ego.samples["timestamp_ns"], ego.samples["world_from_ego"], head["max_extrapolation_ns"]
        ),
        world_offset_m=np.array(head["world_offset_m"], dtype=np.float64),
        source=head["source"],
    )


def _content_id(document: object) -> str:
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()[:16]


def _samples_only(columns: Mapping[str, AnyArray]) -> Part:
    length = len(next(iter(columns.values())))
    return Part(samples=columns, counts=np.zeros(length, dtype=np.int64))
