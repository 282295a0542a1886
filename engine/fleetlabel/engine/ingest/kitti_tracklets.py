"""KITTI raw's ``tracklet_labels.xml`` as world cuboids.

A tracklet has one size (height, width, length) and a pose per frame in the velodyne frame: the middle of the *bottom*
face, and ``rz`` about z (``rx`` and ``ry`` are always 0). ``occlusion`` is 0, 1 or 2, -1 unset; ``truncation`` 0 in the
picture, 1 partly, 2 outside, 99 behind the camera (kept as 2).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fleetlabel.engine.ingest.source import GroundTruth
from fleetlabel.engine.ingest.xml_events import elements
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.model.boxes import Boxes3D, Source
from fleetlabel.model.errors import SourceError
from fleetlabel.store import Quarantined

_MAX_BOXES = 10_000_000
_POSE = ("tx", "ty", "tz", "rx", "ry", "rz", "occlusion", "truncation")
_SIZE = ("l", "w", "h")
_BEHIND = 99


def read_tracklets(path: Path, frame_ns: I64, world_from_velo: F64) -> GroundTruth:
    """Labels of a drive.

    Args:
        path: of ``tracklet_labels.xml``.
        frame_ns: (F,) times of the frames.
        world_from_velo: (F, 4, 4).

    Raises:
        SourceError: the file as a whole cannot be read.
    """
    kinds, rows, quarantined = _rows(path, len(frame_ns))
    table = np.array(rows, dtype=np.float64).reshape(-1, 2 + len(_SIZE) + len(_POSE))
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    frame, track = table[:, 0].astype(np.int32), table[:, 1].astype(np.int64)
    size, pose = table[:, 2:5], table[:, 5:]
    center = pose[:, :3] + np.array([0.0, 0.0, 0.5]) * size[:, 2:]
    velo_from_box = se3.transform(quaternion.to_matrix(quaternion.from_yaw(pose[:, 5])), center)
    world_from_box = world_from_velo[frame] @ velo_from_box
    class_names = tuple(sorted(set(kinds)))
    class_of = np.array([class_names.index(kind) for kind in kinds], dtype=np.int16)
    boxes = Boxes3D(
        class_names=class_names,
        frame=frame,
        timestamp_ns=frame_ns[frame],
        class_id=class_of[track] if len(track) else np.empty(0, dtype=np.int16),
        track_id=track,
        source=np.full(len(frame), Source.GROUND_TRUTH),
        truncation=np.where(pose[:, 7] == _BEHIND, 2, pose[:, 7]),
        occlusion=np.clip(pose[:, 6], -1, 3).astype(np.int8),
        center_m=world_from_box[:, :3, 3],
        size_lwh_m=size,
        q_wxyz=quaternion.from_matrix(world_from_box[:, :3, :3]),
    )
    return GroundTruth(class_names, {}, boxes, tuple(quarantined))


def _rows(path: Path, n_frames: int) -> tuple[list[str], list[list[float]], list[Quarantined]]:
    """Type of every tracklet, a row (frame, track, l w h, numbers of _POSE) per box, and what is none."""
    kinds: list[str] = []
    rows: list[list[float]] = []
    quarantined: list[Quarantined] = []
    trail: list[str] = []
    said: dict[str, str] = {}
    poses: list[tuple[dict[str, str], int]] = []
    pose: dict[str, str] = {}
    for event in elements(path):
        if event.begins:
            trail.append(event.tag)
            continue
        trail.pop()
        if trail[-2:] == ["tracklets", "item"]:
            said[event.tag] = event.text
        elif trail[-2:] == ["poses", "item"]:
            pose[event.tag] = event.text
        elif event.tag == "item" and trail[-1:] == ["poses"]:
            poses.append((pose, event.line))
            pose = {}
            if len(rows) + len(poses) > _MAX_BOXES:
                raise SourceError(f"{path} has more than {_MAX_BOXES} boxes: this is no drive of KITTI")
        elif event.tag == "item" and trail[-1:] == ["tracklets"]:
            track = len(kinds)
            kinds.append(said.get("objectType", "") or "unknown")
            first = _number(said.get("first_frame", "0"))
            size = [_number(said.get(name, "")) for name in _SIZE]
            for at, (numbers, line) in enumerate(poses):
                frame = first + at
                row = [frame, track, *size, *(_number(numbers.get(name, "0")) for name in _POSE)]
                if np.isfinite(row).all() and min(size) > 0 and 0 <= frame < n_frames and frame == int(frame):
                    rows.append(row)
                    continue
                quarantined.append(
                    Quarantined(
                        int(min(max(frame, 0), n_frames - 1)) if np.isfinite(frame) else 0,
                        f"{path} line {line}: frame {frame:g} of tracklet {track} is no box of this drive: l w h "
                        f"{size}, {numbers}; correct or remove it"[:400],
                    )
                )
            said, poses = {}, []
    return kinds, rows, quarantined


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
