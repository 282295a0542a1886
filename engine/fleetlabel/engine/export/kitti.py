"""KITTI tracking folders: ``label_02``, ``calib``, ``ego_pose`` and the sequence map that TrackEval reads.

Labels of one camera go straight into the folder, of several into a folder per camera. TrackEval takes such
a folder as ground truth (``GT_FOLDER``) and, as a tracker with ``TRACKER_SUB_FOLDER`` ``label_02``, as
results; machine-made labels have a score as 18th column. Numbers are written to 1e-9.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fleetlabel.engine.export.kitti_rows import KittiRows, kitti_rows
from fleetlabel.engine.export.projection import exposure_ns
from fleetlabel.engine.ingest.kitti_calib import KittiCalib
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.errors import StoreExistsError, StoreWriteError
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SequenceStore

SEQMAP = "evaluate_tracking.seqmap.training"


def export_kitti(store: SequenceStore, version: str, out: Path) -> list[str]:
    """Writes a label version as KITTI tracking; other sequences may be in the folder already.

    Returns:
        What was written and what could not be, in words, a line each.

    Raises:
        StoreExistsError: the folder has labels of this sequence.
        StoreWriteError: the file system refused.
    """
    labels = store.labels(version)
    cameras = labels.cameras or tuple(sensor.name for sensor in store.info.of_kind(SensorKind.CAMERA))
    name = sequence_name(store)
    lines = []
    for camera in cameras:
        folder = out if len(cameras) == 1 else out / camera
        rows = kitti_rows(store, version, camera)
        _write_folder(store, camera, folder, name, rows)
        lines.append(
            f"{folder / 'label_02' / name}.txt: {len(rows)} rows, {len(np.unique(rows.track_id))} tracks"
        )
        for lost, count in rows.left_out.items():
            lines.append(f"{camera}: {count} boxes of class {lost} left out: KITTI has no word for it")
        if not _is_kitti_pinhole(store, camera):
            lines.append(f"{camera}: its lens distortion was left out: KITTI's calibration cannot carry it")
    return lines


def sequence_name(store: SequenceStore) -> str:
    """Name of the sequence's files: four digits if it is a number, as in KITTI."""
    name = store.info.name
    return name.zfill(4) if name.isdigit() else "_".join(name.split())


def format_rows(rows: KittiRows) -> str:
    """The text of a label file."""
    angles = rows.alpha
    text = []
    for row in range(len(rows)):
        numbers = (
            angles[row],
            *rows.xyxy_px[row],
            *rows.hwl_m[row],
            *rows.location_m[row],
            rows.rotation_y[row],
        )
        fields = [f"{number:.9f}" for number in numbers]
        if rows.scored:
            fields.append(f"{rows.score[row]:.9f}")
        head = f"{rows.frame[row]} {rows.track_id[row]} {rows.name[row]} {rows.truncation[row]} {rows.occlusion[row]}"
        text.append(f"{head} {' '.join(fields)}\n")
    return "".join(text)


def format_calib(store: SequenceStore, camera: str) -> str:
    """The text of a calibration file; numbers read back exactly."""
    if "calib" in store.info.source:
        calib = KittiCalib.from_dict(store.info.source["calib"])
        projections = dict(calib.projections)
        rect_from_velo, velo_from_imu = calib.rect_from_velo, calib.velo_from_imu
    else:
        sensor = store.info.sensor(camera)
        assert sensor.camera is not None
        projection = np.concatenate([sensor.camera.matrix, np.zeros((3, 1))], axis=1)
        projections = {f"P{k}": projection for k in range(4)}
        lidars = store.info.of_kind(SensorKind.LIDAR)
        ego_from_velo = lidars[0].ego_from_sensor if lidars else np.eye(4)
        rect_from_velo, velo_from_imu = (
            se3.invert(sensor.ego_from_sensor) @ ego_from_velo,
            se3.invert(ego_from_velo),
        )
    matrices = {
        **{f"{name}:": matrix for name, matrix in sorted(projections.items())},
        "R_rect": np.eye(3),
        "Tr_velo_cam": rect_from_velo[:3],
        "Tr_imu_velo": velo_from_imu[:3],
    }
    return "".join(f"{name} {_numbers(matrix)}\n" for name, matrix in matrices.items())


def _write_folder(store: SequenceStore, camera: str, folder: Path, name: str, rows: KittiRows) -> None:
    labels = folder / "label_02" / f"{name}.txt"
    if labels.exists():
        raise StoreExistsError(f"{labels} already exists; remove it or choose another --out")
    poses = store.info.trajectory.at(exposure_ns(store, camera))
    seqmap = folder / SEQMAP
    known = seqmap.read_text() if seqmap.exists() else ""
    entries = [line for line in known.splitlines() if line.split()[:1] != [name]]
    entries.append(f"{name} empty 000000 {store.info.n_frames:06d}")
    for path, text in (
        (folder / "calib" / f"{name}.txt", format_calib(store, camera)),
        (folder / "ego_pose" / f"{name}.json", json.dumps(poses.tolist())),
        (labels, format_rows(rows)),
        (seqmap, "".join(f"{line}\n" for line in sorted(entries))),
    ):
        _write(path, text)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise StoreWriteError(
            f"cannot write {path}: {error.strerror or error}; free some space, or choose another --out"
        ) from error


def _is_kitti_pinhole(store: SequenceStore, camera: str) -> bool:
    model = store.info.sensor(camera).camera
    return isinstance(model, PinholeCamera) and not any((model.k1, model.k2, model.p1, model.p2, model.k3))


def _numbers(matrix: F64) -> str:
    return " ".join(repr(float(value)) for value in matrix.reshape(-1))
