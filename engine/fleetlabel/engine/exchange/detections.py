"""Another detector's cuboids in place of our lift stage, in any format that detectors write their results in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fleetlabel.engine.exchange.formats import format_named
from fleetlabel.engine.exchange.importing import read_labels
from fleetlabel.engine.exchange.labels import Drive
from fleetlabel.engine.ingest.detections import import_detections3d, probabilities, row_in_frame
from fleetlabel.engine.ingest.large_files import lines
from fleetlabel.model.boxes import Boxes3D, Source
from fleetlabel.model.errors import SourceError
from fleetlabel.model.ontology import class_map
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SequenceInfo

# Columns of KITTI's result files; those of its tracking detectors are separated by commas.
_KITTI_COLUMNS = 16


def detected_cuboids(path: Path, info: SequenceInfo) -> Boxes3D:
    """Cuboids of another detector, in the world frame and in our classes.

    Args:
        path: nuScenes results (``.json``), KITTI object results (a folder of files by frame), or KITTI tracking
            detections; see :func:`fleetlabel.engine.ingest.import_detections3d`.
        info: the sequence.

    Raises:
        UsageError, SourceError: no file is there, or it is malformed or of another drive.
    """
    name = _format_of(Path(path))
    if name is None:
        return import_detections3d(path, info)
    cameras = info.of_kind(SensorKind.CAMERA)
    drive = Drive(info, {camera.name: info.frame_timestamp_ns for camera in cameras})
    found = read_labels(format_named(name), Path(path), drive)
    if found.cuboids is None:
        raise SourceError(f"{path} has no cuboids; it should hold {format_named(name).looks_for}, with sizes")
    mapping = class_map(found.class_names)
    boxes = found.cuboids
    return Boxes3D(
        class_names=mapping.class_names,
        frame=boxes.frame,
        timestamp_ns=boxes.timestamp_ns,
        class_id=mapping.class_id[boxes.class_id],
        score=probabilities(boxes.score.astype(np.float64)),
        source=np.full(len(boxes), Source.DETECTOR),
        detection=row_in_frame(boxes.frame),
        center_m=boxes.center_m,
        size_lwh_m=boxes.size_lwh_m,
        q_wxyz=boxes.q_wxyz,
        velocity_mps=boxes.velocity_mps,
    )


def _format_of(path: Path) -> str | None:
    """Which of our formats a detector's results are in; None for those of KITTI tracking."""
    if path.suffix == ".json" and path.is_file():
        return "nuscenes-results"
    files = [*path.glob("*.txt"), *path.glob("label_2/*.txt"), *path.glob("*/label_2/*.txt")]
    for file in sorted(files):
        for _, line in lines(file):
            return "kitti-object" if len(line.split()) == _KITTI_COLUMNS else None
    return None
