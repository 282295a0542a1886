"""Stages ``track2d`` and ``track3d``: identities frame by frame, exact however the frames are cut into tasks.

A tracker's state is committed with each part and handed to the task of the next one. The chains of the cameras and
of the world are independent of one another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.engine.pipeline.provenance import Making
from fleetlabel.engine.pipeline.ranges import chunks, is_done, overlapping
from fleetlabel.engine.pipeline.tasks import Task, TaskResult, keys
from fleetlabel.engine.steps import step
from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import I32, I64, AnyArray
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SampleStatus, SequenceStore
from fleetlabel.store.boxes import part_of
from fleetlabel.store.part import Part
from fleetlabel.store.runs import Run, declare_run
from fleetlabel.trackers import (
    Detections2D,
    Detections3D,
    Status,
    Tracker2D,
    Tracker2DConfig,
    Tracker3D,
    Tracker3DConfig,
    Tracks2D,
    Tracks3D,
)

ALGORITHM_VERSION = 1

# What a tracker's row is called in a label: a matched row is the detector's own box.
SOURCE_OF_STATUS = np.zeros(len(Status), dtype=np.uint8)
SOURCE_OF_STATUS[Status.matched] = Source.DETECTOR
SOURCE_OF_STATUS[Status.coasted] = Source.TRACKER
SOURCE_OF_STATUS[Status.interpolated] = Source.INTERPOLATED
SOURCE_OF_STATUS[Status.smoothed] = Source.SMOOTHED
SOURCE_OF_STATUS[Status.human] = Source.HUMAN


def plan_track2d(
    store: SequenceStore, config: RunConfig, detected: Run, pending: Sequence[Task]
) -> tuple[Run, list[Task]]:
    """The run of this stage on ``detected``, and a chain of tasks for each camera.

    Args:
        pending: tasks still to be done of the detect stage.
    """
    identity = {"algorithm_version": ALGORITHM_VERSION, "config": asdict(config.track.tracker2d)}
    run = declare_run(store, "track2d", identity, {"detect": detected.run_id})
    tasks: list[Task] = []
    cameras = store.info.of_kind(SensorKind.CAMERA)
    frames = config.frames_per_task(store.info.n_frames * len(cameras))
    for camera in cameras:
        detections = store.table(detected.table_path(camera.name))
        table = store.declare_boxes(run.table_path(camera.name), tuple(detections.attributes["class_names"]))
        mine = [task for task in pending if task.stage == "detect" and task.sensor == camera.name]
        work = partial(_track2d, store.root, detections.path, table.path, camera.name, config.track.tracker2d)
        tasks += _chain("track2d", camera.name, chunks(table, frames), work, mine)
    return run, tasks


def plan_track3d(
    store: SequenceStore, config: RunConfig, lifted: Run, pending: Sequence[Task]
) -> tuple[Run, list[Task]]:
    """The run of this stage on ``lifted``, and its chain of tasks.

    Args:
        pending: tasks still to be done of the lift stage.
    """
    identity = {"algorithm_version": ALGORITHM_VERSION, "config": asdict(config.track.tracker3d)}
    run = declare_run(store, "track3d", identity, {"lift": lifted.run_id})
    cuboids = store.table(lifted.table_path("all"))
    table = store.declare_boxes(run.table_path("all"), tuple(cuboids.attributes["class_names"]))
    mine = [task for task in pending if task.stage == "lift"]
    work = partial(_track3d, store.root, cuboids.path, table.path, config.track.tracker3d)
    return run, _chain("track3d", "all", chunks(table, config.frames_per_task()), work, mine)


def _chain(
    stage: str,
    sensor: str,
    ranges: Sequence[tuple[int, int]],
    work: partial[TaskResult],
    pending: Sequence[Task],
) -> list[Task]:
    tasks: list[Task] = []
    for start, stop in ranges:
        after = (*keys(tasks[-1:]), *overlapping(pending, start, stop))
        tasks.append(Task(stage, sensor, start, stop, partial(work, start, stop), after))
    return tasks


def _track2d(
    root: Path, detections: str, path: str, camera: str, config: Tracker2DConfig, start: int, stop: int
) -> TaskResult:
    store = SequenceStore.open(root)
    table = store.table(path)
    if is_done(table, start, stop):
        return TaskResult()
    making = Making.begin(store, path, start, stop, [detections])
    with step("read", stop - start):
        found = store.read_boxes(detections, Boxes2D, start, stop)
        times, exposed = exposures(store, camera)
    times = times[start:stop]
    exposed = (exposed[(exposed >= start) & (exposed < stop)] - start).astype(np.int32)
    with step("associate", stop - start):
        tracker = Tracker2D.from_state(config, table.checkpoint(start)) if start else Tracker2D(config)
        found = found.take(np.isin(found.frame - start, exposed))
        rows = tracker.run(times[exposed], detections2d(found, exposed, start))
        frame = (exposed + start)[rows.frame]
        boxes = boxes_of_tracks2d(rows, found, frame, times[frame - start])
    _commit(making, part_of(boxes, start, stop, times), tracker.state())
    return TaskResult(frames=stop - start, boxes=len(boxes))


def _track3d(
    root: Path, cuboids: str, path: str, config: Tracker3DConfig, start: int, stop: int
) -> TaskResult:
    store = SequenceStore.open(root)
    table = store.table(path)
    if is_done(table, start, stop):
        return TaskResult()
    making = Making.begin(store, path, start, stop, [cuboids])
    with step("read", stop - start):
        found = store.read_boxes(cuboids, Boxes3D, start, stop)
    times = store.info.frame_timestamp_ns[start:stop]
    with step("associate", stop - start):
        tracker = Tracker3D.from_state(config, table.checkpoint(start)) if start else Tracker3D(config)
        rows = tracker.run(times, detections3d(found, start))
        boxes = boxes_of_tracks3d(rows, found, rows.frame + start, times[rows.frame])
    _commit(making, part_of(boxes, start, stop, times), tracker.state())
    return TaskResult(frames=stop - start, boxes=len(boxes))


def exposures(store: SequenceStore, camera: str) -> tuple[I64, I32]:
    """Times (F,) of a camera's frames, and the frames at which it took a picture.

    The clock of a frame without a picture is not the camera's, so a tracker sees exposures only. A camera without any
    picture (boxes of another detector, pictures not at hand) has all frames.
    """
    sensor = store.table(f"sensors/{camera}").read(columns=("timestamp_ns", "status")).samples
    seen = sensor["status"] != SampleStatus.MISSING
    return sensor["timestamp_ns"], np.flatnonzero(seen if seen.any() else ~seen).astype(np.int32)


def detections2d(found: Boxes2D, exposed: AnyArray, start: int) -> Detections2D:
    """Detector's boxes as a tracker takes them; frames count the exposed ones of the chunk from ``start``."""
    return Detections2D(
        frame=np.searchsorted(exposed, found.frame - start).astype(np.int32),
        xyxy_px=found.xyxy_px,
        score=found.score.astype(np.float64),
        class_id=found.class_id,
    )


def detections3d(found: Boxes3D, start: int) -> Detections3D:
    """Cuboids as a tracker takes them, upright in the world; frames count from ``start``."""
    return Detections3D(
        frame=found.frame - np.int32(start),
        center_m=found.center_m,
        size_lwh_m=found.size_lwh_m,
        yaw_rad=quaternion.yaw_of(found.q_wxyz),
        score=found.score.astype(np.float64),
        class_id=found.class_id,
    )


def boxes_of_tracks2d(rows: Tracks2D, found: Boxes2D, frame: AnyArray, timestamp_ns: I64) -> Boxes2D:
    """Track rows as boxes; ``frame`` and ``timestamp_ns`` are those of the sequence, per row."""
    return Boxes2D(
        class_names=found.class_names,
        frame=frame,
        timestamp_ns=timestamp_ns,
        class_id=rows.class_id,
        score=rows.score.astype(np.float32),
        track_id=rows.track_id,
        source=SOURCE_OF_STATUS[rows.status],
        detection=row_in_frame(rows.detection, found),
        xyxy_px=rows.xyxy_px,
    )


def boxes_of_tracks3d(rows: Tracks3D, found: Boxes3D, frame: AnyArray, timestamp_ns: I64) -> Boxes3D:
    """Track rows as cuboids; ``frame`` and ``timestamp_ns`` are those of the sequence, per row."""
    matched = rows.detection >= 0
    n_points = np.full(len(rows), -1, dtype=np.int32)
    n_points[matched] = found.n_points[rows.detection[matched]]
    return Boxes3D(
        class_names=found.class_names,
        frame=frame,
        timestamp_ns=timestamp_ns,
        class_id=rows.class_id,
        score=rows.score.astype(np.float32),
        track_id=rows.track_id,
        source=SOURCE_OF_STATUS[rows.status],
        detection=row_in_frame(rows.detection, found),
        center_m=rows.center_m,
        size_lwh_m=rows.size_lwh_m,
        q_wxyz=quaternion.from_yaw(rows.yaw_rad),
        velocity_mps=rows.velocity_mps.astype(np.float32),
        n_points=n_points,
    )


def tracks2d_of(boxes: Boxes2D, found: Boxes2D, exposed: AnyArray) -> Tracks2D:
    """The inverse of :func:`boxes_of_tracks2d` for a whole sequence of ``exposed`` frames."""
    return Tracks2D(
        frame=np.searchsorted(exposed, boxes.frame).astype(np.int32),
        track_id=boxes.track_id,
        xyxy_px=boxes.xyxy_px,
        score=boxes.score.astype(np.float64),
        class_id=boxes.class_id,
        detection=_row_in_block(boxes, found),
        status=_status(boxes),
    )


def tracks3d_of(boxes: Boxes3D, found: Boxes3D) -> Tracks3D:
    """The inverse of :func:`boxes_of_tracks3d` for a whole sequence."""
    return Tracks3D(
        frame=boxes.frame,
        track_id=boxes.track_id,
        center_m=boxes.center_m,
        size_lwh_m=boxes.size_lwh_m,
        yaw_rad=quaternion.yaw_of(boxes.q_wxyz),
        velocity_mps=boxes.velocity_mps.astype(np.float64),
        score=boxes.score.astype(np.float64),
        class_id=boxes.class_id,
        detection=_row_in_block(boxes, found),
        status=_status(boxes),
    )


def _status(boxes: Boxes2D | Boxes3D) -> AnyArray:
    return np.where(boxes.source == Source.DETECTOR, Status.matched, Status.coasted).astype(np.uint8)


def _row_in_block(boxes: Boxes2D | Boxes3D, found: Boxes2D | Boxes3D) -> I64:
    """Rows within frames as rows of the whole block ``found``; -1 stays -1."""
    first = np.searchsorted(found.frame, boxes.frame)
    return np.where(boxes.detection >= 0, first + boxes.detection, -1).astype(np.int64)


def row_in_frame(detection: I64, found: Boxes2D | Boxes3D) -> AnyArray:
    """Rows of a block as rows within their frames, which do not depend on where blocks are cut; -1 stays -1."""
    first = np.searchsorted(found.frame, found.frame)
    local = np.append(np.arange(len(found)) - first, -1)
    return local[detection].astype(np.int32)


def _commit(making: Making, part: Part, state: Mapping[str, AnyArray]) -> None:
    making.commit(Part(part.samples, part.counts, part.flat, state))
