"""Stages ``smooth2d``, ``smooth3d`` and ``labels``: whole sequences at once, and the label version they end in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.engine.pipeline.linking import add_lost, link_tracks
from fleetlabel.engine.pipeline.provenance import Making, content_sha256
from fleetlabel.engine.pipeline.tasks import Task, TaskResult, keys
from fleetlabel.engine.pipeline.tracking import (
    boxes_of_tracks2d,
    boxes_of_tracks3d,
    detections2d,
    detections3d,
    exposures,
    plan_track2d,
    plan_track3d,
    tracks2d_of,
    tracks3d_of,
)
from fleetlabel.engine.steps import step
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import LabelVersion, SequenceStore
from fleetlabel.store.boxes import part_of
from fleetlabel.store.runs import Run, declare_run, open_run
from fleetlabel.trackers import Smooth2DConfig, Smooth3DConfig, smooth_tracks_2d, smooth_tracks_3d

ALGORITHM_VERSION = 2  # of smoothing
LABELS_VERSION = 2  # of putting pictures and cuboids together


def plan_track(
    store: SequenceStore, config: RunConfig, detected: Run, lifted: Run, pending: Sequence[Task]
) -> tuple[str, list[Task]]:
    """Tracking, smoothing and the label version on top of a detect and a lift run: its name, and what is to be done.

    Args:
        pending: tasks still to be done of those two stages.
    """
    tracked2d, tasks2d = plan_track2d(store, config, detected, pending)
    tracked3d, tasks3d = plan_track3d(store, config, lifted, pending)
    smoothed2d, smoothing2d = _plan_smooth2d(store, config, detected, tracked2d, tasks2d)
    smoothed3d, smoothing3d = _plan_smooth3d(store, config, lifted, tracked3d, tasks3d)
    name = config.labels or f"auto-{_short_name(smoothed2d, smoothed3d)}-{LABELS_VERSION}"
    tasks = [*tasks2d, *tasks3d, *smoothing2d, *smoothing3d]
    runs = {run.stage: run.run_id for run in (detected, lifted, tracked2d, tracked3d, smoothed2d, smoothed3d)}
    if name not in store.label_versions() or not _made_of(store.labels(name), runs):
        work = partial(_write_labels, store.root, name, runs)
        tasks.append(Task("labels", "all", 0, store.info.n_frames, work, keys([*pending, *tasks])))
    return name, tasks


def _plan_smooth2d(
    store: SequenceStore, config: RunConfig, detected: Run, tracked: Run, pending: Sequence[Task]
) -> tuple[Run, list[Task]]:
    identity = {"algorithm_version": ALGORITHM_VERSION, "config": asdict(config.track.smoother2d)}
    run = declare_run(store, "smooth2d", identity, {"track2d": tracked.run_id})
    tasks = []
    for camera in store.info.of_kind(SensorKind.CAMERA):
        tracks = store.table(tracked.table_path(camera.name))
        table = store.declare_boxes(run.table_path(camera.name), tuple(tracks.attributes["class_names"]))
        if not table.is_complete():
            paths = (detected.table_path(camera.name), tracks.path, table.path)
            work = partial(_smooth2d, store.root, *paths, camera.name, config.track.smoother2d)
            mine = keys(task for task in pending if task.sensor == camera.name)
            tasks.append(Task("smooth2d", camera.name, 0, store.info.n_frames, work, mine))
    return run, tasks


def _plan_smooth3d(
    store: SequenceStore, config: RunConfig, lifted: Run, tracked: Run, pending: Sequence[Task]
) -> tuple[Run, list[Task]]:
    identity = {"algorithm_version": ALGORITHM_VERSION, "config": asdict(config.track.smoother3d)}
    run = declare_run(store, "smooth3d", identity, {"track3d": tracked.run_id})
    tracks = store.table(tracked.table_path("all"))
    table = store.declare_boxes(run.table_path("all"), tuple(tracks.attributes["class_names"]))
    if table.is_complete():
        return run, []
    work = partial(
        _smooth3d, store.root, lifted.table_path("all"), tracks.path, table.path, config.track.smoother3d
    )
    return run, [Task("smooth3d", "all", 0, store.info.n_frames, work, keys(pending))]


def _smooth2d(
    root: Path, detections: str, tracks: str, path: str, camera: str, config: Smooth2DConfig
) -> TaskResult:
    store = SequenceStore.open(root)
    if store.table(path).is_complete():
        return TaskResult()
    making = Making.begin(store, path, 0, store.info.n_frames, [detections, tracks])
    with step("read", store.info.n_frames):
        found, tracked = store.read_boxes(detections, Boxes2D), store.read_boxes(tracks, Boxes2D)
        times, exposed = exposures(store, camera)
    with step("smooth", len(times)):
        found = found.take(np.isin(found.frame, exposed))
        rows = smooth_tracks_2d(
            tracks2d_of(tracked, found, exposed),
            times[exposed],
            detections2d(found, exposed, 0),
            config,
        )
        frame = exposed[rows.frame]
        boxes = boxes_of_tracks2d(rows, found, frame, times[frame])
    making.commit(part_of(boxes, 0, len(times), times))
    return TaskResult(frames=len(times), boxes=len(boxes))


def _smooth3d(root: Path, cuboids: str, tracks: str, path: str, config: Smooth3DConfig) -> TaskResult:
    store = SequenceStore.open(root)
    if store.table(path).is_complete():
        return TaskResult()
    making = Making.begin(store, path, 0, store.info.n_frames, [cuboids, tracks])
    times = store.info.frame_timestamp_ns
    with step("read", len(times)):
        found, tracked = store.read_boxes(cuboids, Boxes3D), store.read_boxes(tracks, Boxes3D)
    with step("smooth", len(times)):
        rows = smooth_tracks_3d(tracks3d_of(tracked, found), times, detections3d(found, 0), config)
        boxes = boxes_of_tracks3d(rows, found, rows.frame, times[rows.frame])
    making.commit(part_of(boxes, 0, len(times), times))
    return TaskResult(frames=len(times), boxes=len(boxes))


def _write_labels(root: Path, name: str, runs: Mapping[str, str]) -> TaskResult:
    store = SequenceStore.open(root)
    opened = {stage: open_run(store, stage, run_id) for stage, run_id in runs.items()}
    cameras = [camera.name for camera in store.info.of_kind(SensorKind.CAMERA)]
    smoothed, detected = opened["smooth2d"], opened["detect"]
    with step("read", store.info.n_frames):
        boxes2d = {camera: store.read_boxes(smoothed.table_path(camera), Boxes2D) for camera in cameras}
        boxes3d = store.read_boxes(opened["smooth3d"].table_path("all"), Boxes3D)
        found = {camera: store.read_boxes(detected.table_path(camera), Boxes2D) for camera in cameras}
        lifted = store.table(opened["lift"].table_path("all"))
    with step("link", store.info.n_frames):
        boxes2d = add_lost(link_tracks(boxes2d, boxes3d, lifted), found, boxes3d, lifted)
    made_of = [
        *(opened[stage].table_path(camera) for stage in ("smooth2d", "detect") for camera in cameras),
        *(opened[stage].table_path("all") for stage in ("smooth3d", "lift")),
    ]
    provenance: dict[str, Any] = {
        "runs": dict(runs),
        "algorithm_version": LABELS_VERSION,
        "detector": dict(detected.identity),
        "input_sha256": {path: content_sha256(store.table(path), 0, store.info.n_frames) for path in made_of},
    }
    class_names = tuple(dict.fromkeys(n for boxes in (*boxes2d.values(), boxes3d) for n in boxes.class_names))
    with step("write", store.info.n_frames):
        store.write_labels(
            name,
            {camera: boxes.with_class_names(class_names) for camera, boxes in boxes2d.items()},
            boxes3d.with_class_names(class_names),
            class_names=class_names,
            provenance=provenance,
        )
    return TaskResult(frames=store.info.n_frames, boxes=len(boxes3d) + sum(map(len, boxes2d.values())))


def _made_of(version: LabelVersion, runs: Mapping[str, str]) -> bool:
    made = version.provenance
    return made.get("runs") == runs and made.get("algorithm_version", 1) == LABELS_VERSION


def _short_name(*runs: Run) -> str:
    return "-".join(run.run_id[:6] for run in runs)
