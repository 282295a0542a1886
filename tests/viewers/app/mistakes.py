"""Labels that have one mistake each, made of things whose places are known: of a made-up town, or of a real street."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from fleetlabel.geometry import quaternion
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.model.projection import project_at
from fleetlabel.store import SequenceInfo
from fleetlabel.viewers.editor.pose import BoxPose

FRAMES, MIDDLE = 24, 12
NAMES = ("car", "pedestrian", "traffic_light")
TRACKS = (
    *("shifted", "reversed", "turned", "oversized", "floating", "split", "split on", "merged"),
    *("swapped", "swapped too", "late", "dying early", "too early", "misnamed", "drifting"),
    *("twice", "again", "false", "edge", "flat", "face", "light"),
)
# The track that has each mistake; tracks are numbered from 1.
TRACK = {name: number + 1 for number, name in enumerate(TRACKS)}
# Things that mistakes are made of; every one is somewhere for itself.
THINGS = (
    *("shifted", "reversed", "turned", "oversized", "floating", "split", "merged", "merged too"),
    *("swapped", "swapped too", "missing", "late", "dying early", "too early", "misnamed", "drifting"),
    *("twice", "edge", "flat", "face"),
)
EDGE_PX, LIGHT = 40.0, (300.0, 20.0, 316.0, 52.0)
TOO_LONG_M, TOO_SHORT_M, SHIFT_M, RISE_M = 1.5, 0.9, 0.7, 0.6
TURN_RAD = math.radians(14)


@dataclass(frozen=True)
class Street:
    """Where things really are, and where their mistakes are to be seen.

    Attributes:
        poses: thing -> its box at every frame.
        edge_camera, flat_camera, light_camera: whose pictures the 2D mistakes are in.
        others: further labels without mistakes.
        beside: track near the missing object.
        tolerance_m: how well a drawn box is expected to fit.
    """

    poses: Mapping[str, tuple[BoxPose, ...]]
    edge_camera: str = "left"
    flat_camera: str = "right"
    light_camera: str = "front"
    others: Mapping[int, Mapping[int, BoxPose]] = field(default_factory=dict)
    beside: str = "swapped too"
    tolerance_m: float = 0.35

    def at(self, name: str, frame: int) -> BoxPose:
        return self.poses[name][frame]


def mistaken_cuboids(street: Street, times: np.ndarray) -> Boxes3D:
    """The street's cuboids, each track with its mistake."""
    rows: list[tuple[int, int, BoxPose, int]] = []

    def track(name: str, thing: str, frames: range, kind: int = 0, change: Callable | None = None) -> None:
        for frame in frames:
            box = street.at(thing, frame)
            rows.append((frame, TRACK[name], box if change is None else change(box, frame), kind))

    def by(x: float, y: float, z: float) -> Callable[[BoxPose, int], BoxPose]:
        return lambda box, frame: box.moved(np.array([x, y, z]))

    every = range(FRAMES)
    track("shifted", "shifted", every, change=by(0.0, SHIFT_M, 0.0))
    track("reversed", "reversed", every, change=lambda box, _: box.turned(math.pi))
    track("turned", "turned", every, change=lambda box, _: box.turned(TURN_RAD))
    track("oversized", "oversized", every, change=lambda box, _: _longer(box, TOO_LONG_M))
    track("floating", "floating", every, change=by(0.0, 0.0, RISE_M))
    track("split", "split", range(11))
    track("split on", "split", range(13, FRAMES))
    track("merged", "merged", range(MIDDLE))
    track("merged", "merged too", range(MIDDLE, FRAMES))
    for name, other in (("swapped", "swapped too"), ("swapped too", "swapped")):
        track(name, name, range(MIDDLE))
        track(name, other, range(MIDDLE, FRAMES))
    track("late", "late", range(6, FRAMES))
    track("dying early", "dying early", range(18))
    track("too early", "too early", every)
    track("misnamed", "misnamed", every, kind=1)
    track("drifting", "drifting", every, change=lambda b, f: b.moved(np.array([0.05 * (f - 11.5), 0, 0])))
    track("twice", "twice", every)
    track("again", "twice", every, change=by(0.3, 0.1, 0.0))
    track("false", "shifted", every, change=by(0.0, -9.0, 0.0))
    track("edge", "edge", every)
    track("face", "face", every, change=lambda box, _: _longer(box, -TOO_SHORT_M))
    for number, boxes in street.others.items():
        rows += [(frame, number, box, 0) for frame, box in boxes.items()]
    rows.sort(key=lambda row: row[:2])
    frame = np.array([row[0] for row in rows])
    n = len(rows)
    return Boxes3D(
        class_names=NAMES,
        frame=frame,
        timestamp_ns=times[frame],
        class_id=np.array([row[3] for row in rows]),
        score=np.full(n, 0.8),
        track_id=np.array([row[1] for row in rows]),
        source=np.full(n, Source.DETECTOR),
        detection=np.arange(n),
        center_m=np.array([row[2].center_m for row in rows]),
        size_lwh_m=np.array([row[2].size_lwh_m for row in rows]),
        q_wxyz=quaternion.from_yaw(np.array([row[2].yaw_rad for row in rows])),
        n_points=np.full(n, 40),
    )


def _longer(box: BoxPose, by_m: float) -> BoxPose:
    """Its front face that much too far ahead."""
    return box.with_face(0, 1, box.size_lwh_m[0] / 2 + by_m)


def mistaken_pictures(
    street: Street, info: SequenceInfo, cameras: tuple[str, ...], solid: Boxes3D
) -> dict[str, Boxes2D]:
    """What cameras see of the cuboids; one box too wide, one without a cuboid, and a light."""
    seen = {}
    for camera in cameras:
        times = info.frame_timestamp_ns[solid.frame]
        projected = project_at(info.sensor(camera), info.trajectory, solid, times)
        model = info.sensor(camera).camera
        assert model is not None
        rows = np.flatnonzero(projected.visible & (projected.height_px > 8))
        xyxy = projected.xyxy_px[rows].copy()
        if camera == street.edge_camera:
            wide = solid.track_id[rows] == TRACK["edge"]
            xyxy[wide, 2] = np.minimum(xyxy[wide, 2] + EDGE_PX, model.width_px - 1)
        blocks = [(solid.frame[rows], xyxy, solid.track_id[rows], solid.class_id[rows].astype(np.int64))]
        every = np.arange(FRAMES)
        if camera == street.light_camera:
            boxes = np.tile(LIGHT, (FRAMES, 1))
            blocks.append((every, boxes, np.full(FRAMES, TRACK["light"]), np.full(FRAMES, 2)))
        if camera == street.flat_camera:
            boxes, visible = seen_boxes(street.poses["flat"], info, camera)
            ones = np.ones(int(visible.sum()), dtype=np.int64)
            blocks.append((every[visible], boxes[visible], TRACK["flat"] * ones, 0 * ones))
        frame, xyxy, number, kind = (np.concatenate([b[k] for b in blocks]) for k in range(4))
        order = np.argsort(frame, kind="stable")
        seen[camera] = Boxes2D(
            class_names=NAMES,
            frame=frame[order],
            timestamp_ns=info.frame_timestamp_ns[frame[order]],
            class_id=kind[order],
            score=np.full(len(frame), 0.8),
            track_id=number[order],
            source=np.full(len(frame), Source.DETECTOR),
            detection=np.arange(len(frame)),
            xyxy_px=xyxy[order],
        )
    return seen


def seen_boxes(poses: tuple[BoxPose, ...], info: SequenceInfo, camera: str) -> tuple[np.ndarray, np.ndarray]:
    """A thing's boxes (F, 4) in one camera's pictures, and whether it is in them."""
    n = len(poses)
    boxes = Boxes3D(
        class_names=NAMES,
        frame=np.arange(n),
        timestamp_ns=info.frame_timestamp_ns,
        class_id=np.zeros(n),
        track_id=np.full(n, 1),
        center_m=np.array([box.center_m for box in poses]),
        size_lwh_m=np.array([box.size_lwh_m for box in poses]),
        q_wxyz=quaternion.from_yaw(np.array([box.yaw_rad for box in poses])),
    )
    seen = project_at(info.sensor(camera), info.trajectory, boxes, info.frame_timestamp_ns)
    return seen.xyxy_px, seen.visible


def standing(box: BoxPose, speed_mps: float = 0.0) -> tuple[BoxPose, ...]:
    """A box at every frame that goes ahead at some speed and is where it is given at the middle one."""
    ahead = [speed_mps * 0.1 * (frame - MIDDLE) for frame in range(FRAMES)]
    return tuple(replace(box.moved(np.array([x, 0.0, 0.0]))) for x in ahead)
