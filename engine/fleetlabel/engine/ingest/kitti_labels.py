"""KITTI's label files and its box conventions, as world cuboids and picture boxes.

A row's location is the middle of the bottom face in the rectified camera frame (x right, y down, z forward),
its size is h w l, and ``rotation_y`` turns about the y axis, 0 along x. Ours is the centre in the world, l w
h, and a full rotation: the camera is not level, so a box that stands upright in its frame leans in the world.
``alpha`` follows from the rest and is not kept.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fleetlabel.engine.ingest.files import numbers, read_text
from fleetlabel.engine.ingest.numbered import MAX_FRAMES
from fleetlabel.engine.ingest.source import GroundTruth
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64, I64, AnyArray, Bool
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.model.errors import SourceError
from fleetlabel.model.ontology import KITTI
from fleetlabel.store import Quarantined

DONT_CARE = "DontCare"
# Columns of :attr:`Rows.numbers`: everything in a row but its frame, id and type.
TRUNCATED, OCCLUDED = 0, 1
XYXY = slice(3, 7)
HWL = slice(7, 10)
LOCATION = slice(10, 13)
ROTATION_Y = 13
_N_NUMBERS = 14

# Rectified frame from KITTI's object at rotation_y 0: length along x, width along z, height against y.
_RECT_FROM_BOX: F64 = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def world_boxes(world_from_rect: F64, hwl_m: F64, location_m: F64, rotation_y: F64) -> tuple[F64, F64, F64]:
    """Centres (N, 3), sizes l w h (N, 3) and q_wxyz (N, 4) in the world of KITTI boxes.

    Args:
        world_from_rect: (N, 4, 4) of each box's frame.
        hwl_m: (N, 3).
        location_m: (N, 3) middle of the bottom face.
        rotation_y: (N,) radians.
    """
    center_rect = location_m - np.array([0.0, 0.5, 0.0]) * hwl_m[:, :1]
    half, zero = 0.5 * rotation_y, np.zeros(len(rotation_y))
    turn = quaternion.to_matrix(np.stack([np.cos(half), zero, np.sin(half), zero], axis=-1))
    rotation = world_from_rect[:, :3, :3] @ turn @ _RECT_FROM_BOX
    return se3.apply(world_from_rect, center_rect), hwl_m[:, ::-1], quaternion.from_matrix(rotation)


def rect_boxes(rect_from_world: F64, center_m: F64, size_lwh_m: F64, q_wxyz: F64) -> tuple[F64, F64, F64]:
    """Sizes h w l (N, 3), locations (N, 3) and rotation_y (N,): the inverse of :func:`world_boxes`.

    A box that leans in the rectified frame is set upright, keeping its heading and centre.

    Args:
        rect_from_world: (N, 4, 4) of each box's frame.
    """
    rotation = rect_from_world[:, :3, :3] @ quaternion.to_matrix(q_wxyz)
    rotation_y = np.arctan2(-rotation[:, 2, 0], rotation[:, 0, 0])
    hwl = size_lwh_m[:, ::-1]
    location = se3.apply(rect_from_world, center_m) + np.array([0.0, 0.5, 0.0]) * hwl[:, :1]
    return hwl, location, rotation_y


def read_labels(path: Path, camera: str, frame_timestamp_ns: I64, world_from_rect: F64) -> GroundTruth:
    """Labels of a sequence: every row as a box in the picture, rows with a size as a cuboid too.

    DontCare rows are ignore regions without identity. A cuboid and the picture box of the same row have the
    same frame and track id.

    Args:
        camera: the camera whose pictures the rows are of.
        frame_timestamp_ns: (F,).
        world_from_rect: (F, 4, 4).
    """
    frame, track_id, names, values, quarantined = _read_rows(path, len(frame_timestamp_ns))
    order = np.argsort(frame, kind="stable")
    frame, track_id, values = frame[order], track_id[order], values[order]
    name = np.array(names, dtype=np.str_)[order]
    class_names = _class_names(names)
    class_id = np.array([class_names.index(each) for each in name], dtype=np.int16)
    ignore: Bool = name == DONT_CARE
    common: dict[str, AnyArray] = {
        "frame": frame,
        "timestamp_ns": frame_timestamp_ns[frame],
        "class_id": class_id,
        "track_id": np.where(ignore, -1, track_id),
        "source": np.full(len(frame), Source.GROUND_TRUTH),
        "truncation": values[:, TRUNCATED],
        "occlusion": values[:, OCCLUDED],
        "ignore": ignore,
    }
    boxes2d = Boxes2D(class_names=class_names, xyxy_px=values[:, XYXY], **common)
    solid = ~ignore & (values[:, HWL] > 0).all(axis=1)
    center, size, q_wxyz = world_boxes(
        world_from_rect[frame[solid]], values[solid, HWL], values[solid, LOCATION], values[solid, ROTATION_Y]
    )
    common3d = {column: value[solid] for column, value in common.items()}
    boxes3d = Boxes3D(class_names=class_names, center_m=center, size_lwh_m=size, q_wxyz=q_wxyz, **common3d)
    return GroundTruth(
        class_names, {camera: boxes2d}, boxes3d, quarantined, _notes(common["track_id"], frame)
    )


def label_extent(path: Path) -> tuple[int, int, int]:
    """Number of frames of a label file, and the whole pixels in width and height that hold all its boxes."""
    frames, _, _, values, _ = _read_rows(path, MAX_FRAMES)
    edges = np.ceil(values[:, XYXY].max(axis=0, initial=0.0))
    return int(frames.max(initial=-1)) + 1, int(edges[2]), int(edges[3])


def _read_rows(path: Path, n_frames: int) -> tuple[I64, I64, list[str], F64, tuple[Quarantined, ...]]:
    heads, names, values, quarantined = [], [], [], []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        where = f"{path} line {number}"
        frame = 0
        try:
            # "frame id type", then the numbers; result files have a score at the end.
            frame, track_id = (int(value) for value in numbers(fields[:2], where, 2))
            if not 0 <= frame < n_frames or len(fields) < 3:
                raise SourceError(
                    f"{where}: frame {frame} is outside of 0..{n_frames - 1}, or the row ends there"
                )
            values.append(numbers(fields[3 : 3 + _N_NUMBERS], where, _N_NUMBERS))
            heads.append((frame, track_id))
            names.append(fields[2])
        except SourceError as error:
            quarantined.append(
                Quarantined(min(max(frame, 0), n_frames - 1), f"{error}; correct or remove the row")
            )
    head = np.array(heads, dtype=np.int64).reshape(-1, 2)
    return head[:, 0], head[:, 1], names, np.array(values).reshape(-1, _N_NUMBERS), tuple(quarantined)


def _class_names(found: list[str]) -> tuple[str, ...]:
    known = (*KITTI, DONT_CARE)
    return (*known, *sorted(set(found) - set(known)))


def _notes(track_id: I64, frame: I64) -> tuple[str, ...]:
    pairs = np.stack([frame, track_id], axis=1)[track_id >= 0]
    doubled = len(pairs) - len(np.unique(pairs, axis=0))
    if not doubled:
        return ()
    return (
        f"{doubled} rows repeat the track id of another row in their frame; identities are not unique there",
    )
