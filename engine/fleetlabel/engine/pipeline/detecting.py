"""Stage ``detect``: YOLO boxes in every picture of a camera."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import numpy as np

from fleetlabel.engine.detect import DetectConfig, Detector, DetectFailure, FrameDetections, load_weights
from fleetlabel.engine.pipeline.driver import Task, TaskResult
from fleetlabel.engine.pipeline.ranges import chunks
from fleetlabel.model.boxes import Boxes2D, Source
from fleetlabel.model.ontology import ClassMap, class_map
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import CameraReader, Quarantined, SequenceStore
from fleetlabel.store.runs import Run
from fleetlabel.store.sequence import part_of

STAGE = "detect"
ALGORITHM_VERSION = 1
_BATCH_FRAMES = 8  # pictures in memory at a time

_warm = threading.local()


def detect_tasks(
    store: SequenceStore, run: Run, model: Path, config: DetectConfig, class_names: tuple[str, ...], chunk_frames: int
) -> list[Task]:
    """One task per camera and range of frames that is not committed yet, frame ranges outermost."""
    tasks = []
    for camera in store.info.of_kind(SensorKind.CAMERA):
        path = run.table_path(camera.name)
        table = store.declare_boxes(path, class_names)
        for start, stop in chunks(table, chunk_frames):
            work = partial(_detect, store.root, path, camera.name, model, config, start, stop)
            tasks.append(Task(STAGE, camera.name, start, stop, work))
    return sorted(tasks, key=lambda task: task.start)


def _detect(
    root: Path, path: str, camera: str, model: Path, config: DetectConfig, start: int, stop: int
) -> TaskResult:
    store = SequenceStore.open(root)
    reader = store.camera(camera)
    detector = _warm_detector(model, config)
    classes = class_map(detector.class_names)
    blocks, quarantined, pictures = [Boxes2D.empty(classes.class_names)], [], 0
    for first in range(start, stop, _BATCH_FRAMES):
        frames = [frame for frame in range(first, min(first + _BATCH_FRAMES, stop)) if reader.usable(frame)]
        pictures += len(frames)
        for frame, found in zip(frames, detector.detect([reader.jpeg(frame) for frame in frames]), strict=True):
            if isinstance(found, DetectFailure):
                quarantined.append(Quarantined(frame, f"{camera}, frame {frame}: {found.reason}"))
            else:
                blocks.append(_boxes(frame, reader, found, classes))
    boxes = Boxes2D.concatenate(blocks)
    part = part_of(boxes, start, stop, reader.timestamp_ns[start:stop])
    store.table(path).write(start, part, quarantined=quarantined)
    return TaskResult(frames=pictures, boxes=len(boxes), quarantined=tuple(quarantined))


def _boxes(frame: int, reader: CameraReader, found: FrameDetections, classes: ClassMap) -> Boxes2D:
    n = len(found.score)
    return Boxes2D(
        class_names=classes.class_names,
        frame=np.full(n, frame),
        timestamp_ns=np.full(n, reader.timestamp_ns[frame]),
        class_id=classes.class_id[found.class_id],
        score=found.score,
        source=np.full(n, Source.DETECTOR),
        detection=np.arange(n),
        xyxy_px=found.xyxy_px,
    )


def _warm_detector(model: Path, config: DetectConfig) -> Detector:
    """This worker's detector: loaded once, kept until another model or configuration is asked for."""
    wanted = (model, config)
    if getattr(_warm, "wanted", None) != wanted:
        _warm.detector = Detector(load_weights(model), config)
        _warm.wanted = wanted
    detector: Detector = _warm.detector
    return detector
