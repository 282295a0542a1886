"""Stage ``detect``: YOLO boxes in every picture of a camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.detect import DetectConfig, DetectFailure, FrameDetections, load_weights
from fleetlabel.engine.detect.weights import sha256_of
from fleetlabel.engine.ingest import import_detections2d
from fleetlabel.engine.pipeline.choice import CHOICES, Choice, settle_backend
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.engine.pipeline.importing import deletions, write_boxes
from fleetlabel.engine.pipeline.provenance import Making
from fleetlabel.engine.pipeline.ranges import chunks, is_done
from fleetlabel.engine.pipeline.tasks import Task, TaskResult
from fleetlabel.engine.pipeline.warm_detectors import warm_detector
from fleetlabel.engine.steps import step
from fleetlabel.model.boxes import Boxes2D, Source
from fleetlabel.model.errors import UsageError
from fleetlabel.model.ontology import ClassMap, class_map
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import CameraReader, Quarantined, SequenceStore, input_hash
from fleetlabel.store.boxes import part_of
from fleetlabel.store.runs import Run, declare_run

STAGE = "detect"
ALGORITHM_VERSION = 1


@dataclass(frozen=True, slots=True)
class SettledDetector:
    """Weights with every setting that can change their boxes made definite; planning with it needs no network.

    Attributes:
        choice: of the backend.
        identity: of the detector, as runs are named by it.
        class_names: that the weights tell apart.
        notes: what people should know of the weights.
    """

    choice: Choice
    identity: Mapping[str, Any]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


def settle_detector(folder: Path, model: Path, config: DetectConfig) -> SettledDetector:
    """Chooses how to run weights on this machine, unless the folder of choices says how.

    Raises:
        ModelFileError: the weights cannot be used.
        UsageError: nothing here can run them with these settings.
    """
    weights = load_weights(model, trust_pickle=config.trust_pickle)
    choice = settle_backend(folder, weights, config)
    with warm_detector(model, choice.config) as detector:
        identity = detector.identity()
    return SettledDetector(choice, identity, tuple(weights.class_names), tuple(weights.notes))


def settling(folder: Path, model: Path, config: DetectConfig) -> Task:
    """The task to settle a detector where it will run; the result's fact ``settled`` is it."""
    return Task(STAGE, "all", 0, 1, partial(_settle, folder, model, config))


def _settle(folder: Path, model: Path, config: DetectConfig) -> TaskResult:
    return TaskResult(facts={"settled": settle_detector(folder, model, config)})


def plan_detect(
    store: SequenceStore, config: RunConfig, warnings: list[str], settled: SettledDetector | None = None
) -> tuple[Run, list[Task]]:
    """The run of this stage with the configured weights, and a task per camera and range of frames that it lacks.

    Tasks of one range of frames stand together, so that the stages above can begin before this one ends.

    Args:
        warnings: what the user should know is appended.
        settled: the configured weights, settled elsewhere for many stores; by default for this store, here.

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
            "nothing says where 2D boxes come from; give --model WEIGHTS (`--model synthetic` for synthetic drives) "
            "or --detections2d FOLDER"
        )
    if settled is None:
        settled = settle_detector(store.root / CHOICES, config.model, config.detect)
    settled.choice.keep(store.root / CHOICES)
    classes = class_map(settled.class_names)
    warnings.extend(settled.notes)
    if classes.unknown:
        warnings.append(
            f"{config.model} has classes that no vocabulary knows, kept as they are: {classes.unknown}"
        )
    identity = {
        "algorithm_version": ALGORITHM_VERSION,
        "input": input_hash(store),
        "detector": dict(settled.identity),
        "class_names": list(classes.class_names),
    }
    run = declare_run(store, STAGE, identity)
    tasks, n_cameras = [], len(store.info.of_kind(SensorKind.CAMERA))
    for camera in store.info.of_kind(SensorKind.CAMERA):
        table = store.declare_boxes(run.table_path(camera.name), classes.class_names)
        for start, stop in chunks(table, config.frames_per_task(store.info.n_frames * n_cameras)):
            work = partial(
                _detect, store.root, table.path, camera.name, config.model, settled.choice.config, start, stop
            )
            tasks.append(Task(STAGE, camera.name, start, stop, work))
    return run, sorted(tasks, key=lambda task: task.start)


def _detect(
    root: Path, path: str, camera: str, model: Path, config: DetectConfig, start: int, stop: int
) -> TaskResult:
    store = SequenceStore.open(root)
    if is_done(store.table(path), start, stop):
        return TaskResult()
    making = Making.begin(store, path, start, stop, [f"sensors/{camera}"])
    reader = store.camera(camera)
    with warm_detector(model, config) as detector:
        classes = class_map(detector.class_names)
        blocks, quarantined, pictures = [Boxes2D.empty(classes.class_names)], [], 0
        at_once = detector.pictures_at_once
        for first in range(start - start % at_once, stop, at_once):
            # A frame has the same place however tasks are cut: no bytes stand for what another task does or cannot be.
            frames = range(first, min(first + at_once, stop))
            wanted = [frame for frame in frames if frame >= start and reader.usable(frame)]
            with step("read", len(wanted)) as reading:
                jpegs = {frame: reader.jpeg(frame) for frame in wanted}
                reading.n_bytes = sum(map(len, jpegs.values()))
            pictures += len(wanted)
            found = detector.detect([jpegs.get(frame, b"") for frame in frames])
            for frame, one in zip(frames, found, strict=True):
                if frame not in jpegs:
                    continue
                if isinstance(one, DetectFailure):
                    quarantined.append(Quarantined(frame, f"{camera}, frame {frame}: {one.reason}"))
                else:
                    blocks.append(_boxes(frame, reader, one, classes))
    boxes = Boxes2D.concatenate(blocks)
    part = part_of(boxes, start, stop, reader.timestamp_ns[start:stop])
    making.commit(part, quarantined)
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


def _plan_import(store: SequenceStore, folder: Path, warnings: list[str]) -> tuple[Run, list[Task]]:
    imported = import_detections2d(folder, store.info)
    class_names = next(iter(imported.values())).class_names
    identity = {"imported_sha256": sha256_of(folder), "class_names": list(class_names)} | deletions(store)
    run = declare_run(store, STAGE, {"algorithm_version": ALGORITHM_VERSION, **identity})
    if not any(map(len, imported.values())):
        warnings.append(f"{folder} holds no 2D boxes for {store.info.name}")
    tasks = []
    for camera in store.info.of_kind(SensorKind.CAMERA):
        table = store.declare_boxes(run.table_path(camera.name), class_names)
        for start, stop in table.missing():
            work = partial(_import, store.root, table.path, folder, camera.name, start, stop)
            tasks.append(Task(STAGE, camera.name, start, stop, work))
    return run, tasks


def _import(root: Path, path: str, folder: Path, camera: str, start: int, stop: int) -> TaskResult:
    store = SequenceStore.open(root)
    imported = import_detections2d(folder, store.info)
    none = Boxes2D.empty(next(iter(imported.values())).class_names)
    return write_boxes(store, path, imported.get(camera, none), start, stop)
