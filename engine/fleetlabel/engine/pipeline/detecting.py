"""Stage ``detect``: YOLO boxes in every picture of a camera."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import numpy as np

from fleetlabel.engine.detect import DetectConfig, DetectFailure, Detector, FrameDetections, load_weights
from fleetlabel.engine.detect.weights import sha256_of
from fleetlabel.engine.ingest import import_detections2d
from fleetlabel.engine.pipeline.choice import settle_backend
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.engine.pipeline.importing import write_boxes
from fleetlabel.engine.pipeline.ranges import chunks
from fleetlabel.engine.pipeline.tasks import Task, TaskResult
from fleetlabel.model.boxes import Boxes2D, Source
from fleetlabel.model.errors import UsageError
from fleetlabel.model.ontology import ClassMap, class_map
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import CameraReader, Quarantined, SequenceStore, input_hash
from fleetlabel.store.boxes import part_of
from fleetlabel.store.runs import Run, declare_run

STAGE = "detect"
ALGORITHM_VERSION = 1
_BATCH_FRAMES = 8  # pictures in memory at a time

_warm = threading.local()


def plan_detect(store: SequenceStore, config: RunConfig, warnings: list[str]) -> tuple[Run, list[Task]]:
    """The run of this stage with the configured weights, and a task per camera and range of frames that it lacks.

    Tasks of one range of frames stand together, so that the stages above can begin before this one ends.

    Args:
        warnings: what the user should know is appended.

    Raises:
        UsageError: there are neither weights nor imported detections, or a setting does not fit the weights.
        ModelFileError: the weights cannot be used.
    """
    if not store.info.of_kind(SensorKind.CAMERA):
        warnings.append("there is no camera, so there will be no 2D boxes")
    if config.detections2d is not None:
        if config.model is not None:
            warnings.append(f"{config.model} is not used: the boxes of {config.detections2d} take its place")
        return _plan_import(store, config.detections2d, warnings)
    if config.model is None:
        raise UsageError(
            "nothing says where 2D boxes come from; give --model WEIGHTS (or --detections2d FOLDER)"
        )
    weights = load_weights(config.model, trust_pickle=config.detect.trust_pickle)
    classes = class_map(weights.class_names)
    warnings.extend(weights.notes)
    if classes.unknown:
        warnings.append(
            f"{config.model} has classes that no vocabulary knows, kept as they are: {classes.unknown}"
        )
    settled = settle_backend(store, weights, config.detect)
    identity = {
        "algorithm_version": ALGORITHM_VERSION,
        "input": input_hash(store),
        "detector": _warm_detector(config.model, settled).identity(),
        "class_names": list(classes.class_names),
    }
    run = declare_run(store, STAGE, identity)
    tasks = []
    for camera in store.info.of_kind(SensorKind.CAMERA):
        table = store.declare_boxes(run.table_path(camera.name), classes.class_names)
        for start, stop in chunks(table, config.chunk_frames):
            work = partial(_detect, store.root, table.path, camera.name, config.model, settled, start, stop)
            tasks.append(Task(STAGE, camera.name, start, stop, work))
    return run, sorted(tasks, key=lambda task: task.start)


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
        for frame, found in zip(
            frames, detector.detect([reader.jpeg(frame) for frame in frames]), strict=True
        ):
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
        detection=np.arange(n, dtype=np.int32),
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


def _plan_import(store: SequenceStore, folder: Path, warnings: list[str]) -> tuple[Run, list[Task]]:
    imported = import_detections2d(folder, store.info)
    class_names = next(iter(imported.values())).class_names
    identity = {"imported_sha256": sha256_of(folder), "class_names": list(class_names)}
    run = declare_run(store, STAGE, {"algorithm_version": ALGORITHM_VERSION, **identity})
    if not any(map(len, imported.values())):
        warnings.append(f"{folder} holds no 2D boxes for {store.info.name}")
    tasks = []
    for camera in store.info.of_kind(SensorKind.CAMERA):
        table = store.declare_boxes(run.table_path(camera.name), class_names)
        boxes = imported.get(camera.name, Boxes2D.empty(class_names))
        for start, stop in table.missing():
            work = partial(write_boxes, store.root, table.path, boxes, start, stop)
            tasks.append(Task(STAGE, camera.name, start, stop, work))
    return run, tasks
