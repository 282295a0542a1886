"""Waymo's cuboids and boxes in pictures as labels; ``waymo`` says what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.ingest.arrow_files import floats, read_parquet, texts, whole_numbers
from fleetlabel.engine.ingest.clocks import Timeline
from fleetlabel.engine.ingest.source import GroundTruth
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.store import Quarantined

CAMERAS = {1: "FRONT", 2: "FRONT_LEFT", 3: "FRONT_RIGHT", 4: "SIDE_LEFT", 5: "SIDE_RIGHT"}
TYPES = ("TYPE_UNKNOWN", "TYPE_VEHICLE", "TYPE_PEDESTRIAN", "TYPE_SIGN", "TYPE_CYCLIST")
TIME, CAMERA = "key.frame_timestamp_micros", "key.camera_name"
_BOX, _FLAT = "[LiDARBoxComponent]", "[CameraBoxComponent]"


def read_labels(
    cuboids: Path, flat: Path, frame_us: I64, world_from_vehicle: F64, times: Mapping[str, Timeline]
) -> GroundTruth | None:
    """Labels of a segment, None if there are none.

    Args:
        cuboids, flat: files of lidar_box and camera_box; either may be missing.
        frame_us: (F,) times of the frames in microseconds.
        world_from_vehicle: (F, 4, 4).
        times: of each sensor's samples.

    Raises:
        SourceError: a file as a whole cannot be read.
    """
    if not cuboids.exists() and not flat.exists():
        return None
    quarantined: list[Quarantined] = []
    boxes3d: Boxes3D | None = None
    tracks: list[str] = []
    boxes2d: dict[str, Boxes2D] = {}
    if cuboids.exists():
        boxes3d, tracks = _cuboids(cuboids, frame_us, world_from_vehicle, quarantined)
    if flat.exists():
        boxes2d, more = _picture_boxes(flat, frame_us, times, len(tracks), quarantined)
        tracks = [*tracks, *more]
    note = "speeds, difficulty and zones without labels are not kept"
    return GroundTruth(TYPES, boxes2d, boxes3d, tuple(quarantined), (note,), {"object_ids": tracks})


def _cuboids(
    path: Path, frame_us: I64, world_from_vehicle: F64, quarantined: list[Quarantined]
) -> tuple[Boxes3D, list[str]]:
    names = [f"{_BOX}.box.{part}.{axis}" for part in ("center", "size") for axis in "xyz"]
    count = f"{_BOX}.num_lidar_points_in_box"
    table = read_parquet(
        path, [TIME, "key.laser_object_id", f"{_BOX}.type", count, *names, f"{_BOX}.box.heading"]
    )
    numbers = floats(table, [*names, f"{_BOX}.box.heading"], path)
    sizes = numbers[:, 3:6]
    columns, kept, tracks = _rows(
        path, frame_us, table, f"{_BOX}.type", "key.laser_object_id", numbers, sizes, quarantined
    )
    numbers = numbers[kept]
    frame = columns["frame"]
    turn = quaternion.to_matrix(quaternion.from_yaw(numbers[:, 6]))
    world = world_from_vehicle[frame] @ se3.transform(turn, numbers[:, :3])
    boxes = Boxes3D(
        class_names=TYPES,
        **columns,
        center_m=world[:, :3, 3],
        size_lwh_m=numbers[:, 3:6],
        q_wxyz=quaternion.from_matrix(world[:, :3, :3]),
        n_points=np.clip(np.nan_to_num(floats(table, [count], path)[kept, 0], nan=-1), -1, 1 << 30).astype(
            np.int32
        ),
    )
    return boxes, tracks


def _picture_boxes(
    path: Path, frame_us: I64, times: Mapping[str, Timeline], first_track: int, quarantined: list[Quarantined]
) -> tuple[dict[str, Boxes2D], list[str]]:
    names = [f"{_FLAT}.box.{part}.{axis}" for part in ("center", "size") for axis in "xy"]
    table = read_parquet(path, [TIME, CAMERA, "key.camera_object_id", f"{_FLAT}.type", *names])
    numbers = floats(table, names, path)
    columns, kept, tracks = _rows(
        path, frame_us, table, f"{_FLAT}.type", "key.camera_object_id", numbers, numbers[:, 2:], quarantined
    )
    center, half = numbers[kept, :2], numbers[kept, 2:] / 2
    xyxy, camera = (
        np.concatenate([center - half, center + half], axis=1),
        whole_numbers(table, CAMERA, path)[kept],
    )
    columns["track_id"] = columns["track_id"] + first_track
    boxes = {}
    for number, name in CAMERAS.items():
        mine = camera == number
        sensor = f"CAMERA_{name}"
        if not mine.any() or sensor not in times:
            continue
        own = {column: values[mine] for column, values in columns.items()}
        own["timestamp_ns"] = times[sensor].timestamp_ns[own["frame"]]
        boxes[sensor] = Boxes2D(class_names=TYPES, **own, xyxy_px=xyxy[mine])
    return boxes, tracks


def _rows(
    path: Path,
    frame_us: I64,
    table: Any,
    kind: str,
    identity: str,
    numbers: F64,
    sizes: F64,
    quarantined: list[Quarantined],
) -> tuple[dict[str, Any], I64, list[str]]:
    """Columns that boxes have in common, the rows that are boxes, by frame, and what each track is called."""
    at_us, types = whole_numbers(table, TIME, path), whole_numbers(table, kind, path)
    frame = np.minimum(np.searchsorted(frame_us, at_us), len(frame_us) - 1)
    good = np.isfinite(numbers).all(axis=1) & (sizes > 0).all(axis=1)
    good &= (frame_us[frame] == at_us) & (types >= 0) & (types < len(TYPES))
    quarantined += [
        Quarantined(
            int(frame[row]),
            f"{path} row {row} is no box of this segment: frame {at_us[row]}, type {types[row]}, "
            f"{numbers[row].tolist()}; correct or remove the row",
        )
        for row in np.flatnonzero(~good).tolist()
    ]
    kept = np.flatnonzero(good)
    kept = kept[np.argsort(frame[kept], kind="stable")]
    names = texts(table, identity, path)
    tracks = {name: at for at, name in enumerate(dict.fromkeys(names[row] for row in kept.tolist()))}
    columns: dict[str, Any] = {
        "frame": frame[kept].astype(np.int32),
        "timestamp_ns": frame_us[frame[kept]] * 1000,
        "class_id": types[kept].astype(np.int16),
        "track_id": np.array([tracks[names[row]] for row in kept.tolist()], dtype=np.int64),
        "source": np.full(len(kept), Source.GROUND_TRUTH, dtype=np.uint8),
    }
    return columns, kept, list(tracks)
