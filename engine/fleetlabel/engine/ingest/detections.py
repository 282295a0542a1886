"""Another detector's results in KITTI's detection formats, in place of our own detect or lift stage.

3D (as AB3DMOT and DeepFusionMOT publish PointRCNN's): comma-separated ``frame, type (1 Pedestrian, 2 Car, 3
Cyclist), x1, y1, x2, y2, score, h, w, l, x, y, z, rotation_y, alpha``. 2D (RRC): ``frame, x1, y1, x2, y2,
score``, the class being the folder's name. For sequence NNNN the files ``NNNN.txt`` and ``<any
folder>/NNNN.txt`` are read.

Scores outside [0, 1] are taken for logits and go through a logistic function, all of a sequence alike;
order is kept. The picture box and alpha of a 3D row are not kept: picture boxes are 2D detections.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fleetlabel.engine.ingest.files import number_rows
from fleetlabel.engine.ingest.kitti_calib import KittiCalib
from fleetlabel.engine.ingest.kitti_labels import world_boxes
from fleetlabel.engine.ingest.kitti_tracking import LABELLED_CAMERA
from fleetlabel.geometry.arrays import F32, F64, I32
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.model.errors import SourceError, UsageError
from fleetlabel.model.ontology import class_map
from fleetlabel.store import SequenceInfo

_TYPES = {1: "Pedestrian", 2: "Car", 3: "Cyclist"}
_COLUMNS_2D = 6
_COLUMNS_3D = 15


_EVEN_LOGIT, _SLOPE = 3.2, 0.9


def import_detections3d(path: Path, info: SequenceInfo) -> Boxes3D:
    """Cuboids of another detector for a KITTI sequence, in the world frame and in our classes.

    Args:
        path: a file, or a folder with the sequence's files.
        info: the sequence; its name says which files.

    Raises:
        UsageError: the sequence is not from KITTI, so these files' frame is unknown.
        SourceError: no file is there, or a row is malformed or of a frame that does not exist.
    """
    calib = _calib(info)
    rows = _sorted(
        np.concatenate([_checked(file, _COLUMNS_3D, info) for file in _files(Path(path), info.name)])
    )
    unknown = np.setdiff1d(rows[:, 1], list(_TYPES))
    if len(unknown):
        raise SourceError(f"{path}: object types {unknown.tolist()} are unknown; known are {_TYPES}")
    frame = rows[:, 0].astype(np.int32)
    mapping = class_map(tuple(_TYPES.values()))
    timestamp_ns = info.frame_timestamp_ns[frame]
    world_from_rect = info.trajectory.at(timestamp_ns) @ calib.ego_from_rect
    center, size, q_wxyz = world_boxes(world_from_rect, rows[:, 7:10], rows[:, 10:13], rows[:, 13])
    return Boxes3D(
        class_names=mapping.class_names,
        frame=frame,
        timestamp_ns=timestamp_ns,
        class_id=mapping.class_id[rows[:, 1].astype(np.int64) - 1],
        score=probabilities(rows[:, 6]),
        source=np.full(len(rows), Source.DETECTOR),
        detection=row_in_frame(frame),
        center_m=center,
        size_lwh_m=size,
        q_wxyz=q_wxyz,
    )


def import_detections2d(path: Path, info: SequenceInfo) -> dict[str, Boxes2D]:
    """Picture boxes of another detector for a KITTI sequence, in our classes, by camera (``image_02`` alone).

    Args:
        path: a folder with one folder per class, named as KITTI names it, or a file in such a folder.
        info: the sequence; its name says which files.

    Raises:
        UsageError: the sequence has no camera ``image_02``.
        SourceError: no file is there, or a row is malformed or of a frame that does not exist.
    """
    if LABELLED_CAMERA not in {sensor.name for sensor in info.sensors}:
        raise UsageError(
            f"{path} holds boxes of KITTI's camera {LABELLED_CAMERA}, but {info.name} has "
            f"{[sensor.name for sensor in info.sensors]}; these detections are of another drive"
        )
    files = _files(Path(path), info.name)
    mapping = class_map(tuple(file.parent.name for file in files))
    blocks = [_checked(file, _COLUMNS_2D, info) for file in files]
    which = np.repeat(np.arange(len(files)), [len(block) for block in blocks])
    rows = _sorted(np.concatenate([np.concatenate(blocks), which[:, None]], axis=1))
    frame = rows[:, 0].astype(np.int32)
    boxes = Boxes2D(
        class_names=mapping.class_names,
        frame=frame,
        timestamp_ns=info.frame_timestamp_ns[frame],
        class_id=mapping.class_id[rows[:, -1].astype(np.int64)],
        score=probabilities(rows[:, 5]),
        source=np.full(len(rows), Source.DETECTOR),
        detection=row_in_frame(frame),
        xyxy_px=rows[:, 1:5],
    )
    return {LABELLED_CAMERA: boxes}


def _files(path: Path, sequence: str) -> Sequence[Path]:
    if path.is_file():
        return [path]
    if not path.exists():
        raise SourceError(f"{path} does not exist; give the folder of another detector's boxes")
    found = sorted([*path.glob(f"{sequence}.txt"), *path.glob(f"*/{sequence}.txt")])
    if not found:
        raise SourceError(
            f"{path} has no detections of sequence {sequence}: expected {sequence}.txt or "
            f"<class>/{sequence}.txt"
        )
    return found


def _checked(path: Path, n_columns: int, info: SequenceInfo) -> F64:
    rows = number_rows(path, n_columns)
    frame = rows[:, 0]
    bad = (frame != np.round(frame)) | (frame < 0) | (frame >= info.n_frames)
    if bad.any():
        row = int(np.argmax(bad))
        raise SourceError(
            f"{path} row {row + 1} is of frame {frame[row]:g}, but {info.name} has frames "
            f"0..{info.n_frames - 1}; these detections are of another drive"
        )
    return rows


def _calib(info: SequenceInfo) -> KittiCalib:
    if "calib" not in info.source:
        raise UsageError(
            f"{info.name} comes from {info.source.get('format', 'an unknown format')}, but KITTI detections "
            f"are in the rectified camera frame of a KITTI drive; give detections of this drive"
        )
    return KittiCalib.from_dict(info.source["calib"])


def _sorted(rows: F64) -> F64:
    return rows[np.argsort(rows[:, 0], kind="stable")]


def probabilities(raw: F64) -> F32:
    """Scores as probabilities, which trackers take them for; those within [0, 1] are taken as they are.

    Others are logits, and detectors of this format are overconfident: on KITTI every second PointRCNN box at 3.2 is
    right, not at 0 (logistic fit over the sequences 0000-0020 of the training split that we have).
    """
    is_probability = not len(raw) or (raw.min() >= 0 and raw.max() <= 1)
    return (raw if is_probability else 1 / (1 + np.exp(-_SLOPE * (raw - _EVEN_LOGIT)))).astype(np.float32)


def row_in_frame(frame: I32) -> I32:
    """Position of each row among those of its frame; ``frame`` is ascending."""
    return (np.arange(len(frame)) - np.searchsorted(frame, frame)).astype(np.int32)
