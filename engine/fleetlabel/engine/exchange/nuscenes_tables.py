"""Rows of nuScenes' tables, for a drive and its labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from fleetlabel.engine.exchange.attributes import attribute_rows, given
from fleetlabel.engine.exchange.labels import Drive, Labels
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import I64
from fleetlabel.model.boxes import Boxes3D
from fleetlabel.model.ontology import NUSCENES, canonical
from fleetlabel.model.sensors import Sensor, SensorKind

DESCRIBED = "FleetLabel class: "
# nuScenes' first name for each of our classes.
_CATEGORY = {ours: theirs for theirs, ours in reversed(list(NUSCENES.items()))} | {
    "pedestrian": "human.pedestrian.adult"
}
_VISIBILITY = {"1": "v0-40", "2": "v40-60", "3": "v60-80", "4": "v80-100"}
_SEEN = {0: "4", 1: "3", 2: "2"}  # by occlusion: none, partly, largely


def tables_of(labels: Labels) -> dict[str, Iterable[Mapping[str, Any]]]:
    """Rows of every table, annotations last; they are made as they are asked for."""
    drive = labels.drive
    index = AnnotationIndex.of(labels)
    return {
        "visibility": (
            {"token": t, "level": level, "description": level} for t, level in _VISIBILITY.items()
        ),
        "attribute": (),
        "category": _categories(labels),
        "sensor": (_sensor(drive, sensor) for sensor in drive.info.sensors),
        "calibrated_sensor": (_calibrated(drive, sensor) for sensor in drive.info.sensors),
        "log": [_log(drive)],
        "map": [map_row(drive)],
        "scene": [_scene(drive)],
        "sample": _samples(drive),
        "ego_pose": _ego_poses(drive),
        "sample_data": _sample_data(drive),
        "instance": index.instances(labels),
        "sample_annotation": index.annotations(labels),
    }


class AnnotationIndex:
    """Annotations of all instances, by track and frame: what comes before and after each."""

    def __init__(self, track: I64, frame: I64, class_id: I64) -> None:
        order = np.lexsort((np.arange(len(track)), frame, track))
        self.first, self.count = np.unique(track[order], return_index=True, return_counts=True)[1:]
        self.track, self.class_id = track[order][self.first], class_id[order][self.first]
        self._sorted, self._place = order, np.empty(len(order), dtype=np.int64)
        self._place[order] = np.arange(len(order))
        self._track_of = track

    @classmethod
    def of(cls, labels: Labels) -> AnnotationIndex:
        """Reads all cuboids once, in blocks."""
        tracks, frames, classes, n_anonymous = [], [], [], 0
        for boxes in labels.cuboid_blocks():
            tracks.append(_numbered(boxes, n_anonymous))
            n_anonymous += int((boxes.track_id < 0).sum())
            frames.append(boxes.frame.astype(np.int64))
            classes.append(boxes.class_id.astype(np.int64))
        return cls(np.concatenate(tracks), np.concatenate(frames), np.concatenate(classes))

    def instances(self, labels: Labels) -> Iterator[dict[str, Any]]:
        """Rows of the table ``instance``."""
        columns = (self.track, self.class_id, self.first, self.count)
        for track, class_id, first, count in zip(*(column.tolist() for column in columns), strict=True):
            yield {
                "token": token(labels.drive, "instance", track),
                "category_token": token(labels.drive, "category", class_id),
                "nbr_annotations": count,
                "first_annotation_token": self._annotation(labels.drive, first),
                "last_annotation_token": self._annotation(labels.drive, first + count - 1),
                "track_id": max(track, -1),
            }

    def annotations(self, labels: Labels) -> Iterator[dict[str, Any]]:
        """Rows of the table ``sample_annotation``."""
        drive, row = labels.drive, 0
        offset = drive.info.world_offset_m
        for boxes in labels.cuboid_blocks(drive.info.frame_timestamp_ns):
            moving = given(boxes.velocity_mps)
            columns: tuple[Iterable[Any], ...] = (
                boxes.frame.tolist(),
                boxes.class_id.tolist(),
                (boxes.center_m + offset).tolist(),
                boxes.size_lwh_m[:, [1, 0, 2]].tolist(),
                boxes.q_wxyz.tolist(),
                boxes.n_points.tolist(),
                boxes.occlusion.tolist(),
                boxes.score.tolist(),
                boxes.ignore.tolist(),
                boxes.velocity_mps.tolist(),
                moving,
                attribute_rows(boxes),
            )
            for frame, kind, center, wlh, q_wxyz, points, hidden, score, ignore, speed, moves, said in zip(
                *columns, strict=True
            ):
                track = int(self._track_of[row])
                place = int(self._place[row])
                said["score"], said["class"] = score, labels.class_names[kind]
                if moves:
                    said["velocity_mps"] = speed
                if ignore:
                    said["ignore"] = True
                same = [self._same_track(place, other) for other in (place - 1, place + 1)]
                yield {
                    "token": self._annotation(drive, place),
                    "sample_token": token(drive, "sample", frame),
                    "instance_token": token(drive, "instance", track),
                    "visibility_token": _SEEN.get(hidden, ""),
                    "attribute_tokens": [],
                    "translation": center,
                    "size": wlh,
                    "rotation": q_wxyz,
                    "prev": self._annotation(drive, place - 1) if same[0] else "",
                    "next": self._annotation(drive, place + 1) if same[1] else "",
                    "num_lidar_pts": points,
                    "num_radar_pts": 0,
                    "fleetlabel": said,
                }
                row += 1

    def _annotation(self, drive: Drive, place: int) -> str:
        return token(drive, "annotation", int(self._sorted[place]))

    def _same_track(self, place: int, other: int) -> bool:
        if not 0 <= other < len(self._sorted):
            return False
        return bool(self._track_of[self._sorted[place]] == self._track_of[self._sorted[other]])


def _numbered(boxes: Boxes3D, n_anonymous: int) -> I64:
    """Track ids, negative ones for boxes without identity, each its own."""
    anonymous = boxes.track_id < 0
    return np.where(anonymous, -1 - n_anonymous - np.cumsum(anonymous), boxes.track_id)


def token(drive: Drive, what: str, which: object) -> str:
    """32 hexadecimal digits, as nuScenes' tokens are; always the same for the same row."""
    return hashlib.blake2b(f"{drive.file_name} {what} {which}".encode(), digest_size=16).hexdigest()


def _categories(labels: Labels) -> Iterator[dict[str, Any]]:
    for row, name in enumerate(labels.class_names):
        theirs = name if name in NUSCENES else _CATEGORY.get(canonical(name) or "", name)
        described = {"name": theirs, "description": f"{DESCRIBED}{name}", "index": row}
        yield {"token": token(labels.drive, "category", row), **described}


def _sensor(drive: Drive, sensor: Sensor) -> dict[str, Any]:
    return {
        "token": token(drive, "sensor", sensor.name),
        "channel": sensor.name,
        "modality": sensor.kind.value,
    }


def _calibrated(drive: Drive, sensor: Sensor) -> dict[str, Any]:
    pose = se3.to_pose(sensor.ego_from_sensor).tolist()
    return {
        "token": token(drive, "calibrated_sensor", sensor.name),
        "sensor_token": token(drive, "sensor", sensor.name),
        "translation": pose[:3],
        "rotation": pose[3:],
        "camera_intrinsic": [] if sensor.camera is None else sensor.camera.matrix.tolist(),
    }


def _log(drive: Drive) -> dict[str, Any]:
    described = {"logfile": drive.file_name, "vehicle": "", "date_captured": "", "location": ""}
    return {"token": token(drive, "log", 0), **described}


def map_row(drive: Drive) -> dict[str, Any]:
    """The devkit does not load without a map; this one is blank."""
    return {
        "token": token(drive, "map", 0),
        "log_tokens": [token(drive, "log", 0)],
        "category": "semantic_prior",
        "filename": "maps/blank.png",
    }


def _scene(drive: Drive) -> dict[str, Any]:
    return {
        "token": token(drive, "scene", 0),
        "log_token": token(drive, "log", 0),
        "nbr_samples": drive.info.n_frames,
        "first_sample_token": token(drive, "sample", 0),
        "last_sample_token": token(drive, "sample", drive.info.n_frames - 1),
        "name": drive.file_name,
        "description": drive.info.name,
    }


def _samples(drive: Drive) -> Iterator[dict[str, Any]]:
    for frame, time_ns in enumerate(drive.info.frame_timestamp_ns.tolist()):
        yield {
            "token": token(drive, "sample", frame),
            "timestamp": time_ns // 1000,
            **_neighbours(drive, "sample", "", frame),
            "scene_token": token(drive, "scene", 0),
        }


def _times(drive: Drive, sensor: Sensor) -> I64:
    return drive.exposure_ns.get(sensor.name, drive.info.frame_timestamp_ns)


def _ego_poses(drive: Drive) -> Iterator[dict[str, Any]]:
    for sensor in drive.info.sensors:
        times_ns = _times(drive, sensor)
        poses = drive.info.trajectory.poses_at(times_ns)
        poses[:, :3] += drive.info.world_offset_m
        for frame, (time_ns, pose) in enumerate(zip(times_ns.tolist(), poses.tolist(), strict=True)):
            yield {
                "token": token(drive, "ego_pose", f"{sensor.name} {frame}"),
                "timestamp": time_ns // 1000,
                "rotation": pose[3:],
                "translation": pose[:3],
            }


def _sample_data(drive: Drive) -> Iterator[dict[str, Any]]:
    for sensor in drive.info.sensors:
        is_camera = sensor.kind is SensorKind.CAMERA
        width, height = drive.size_px(sensor.name) if is_camera else (0, 0)
        suffix = "jpg" if is_camera else "pcd.bin"
        for frame, time_ns in enumerate(_times(drive, sensor).tolist()):
            yield {
                "token": token(drive, "sample_data", f"{sensor.name} {frame}"),
                "sample_token": token(drive, "sample", frame),
                "ego_pose_token": token(drive, "ego_pose", f"{sensor.name} {frame}"),
                "calibrated_sensor_token": token(drive, "calibrated_sensor", sensor.name),
                "timestamp": time_ns // 1000,
                "fileformat": suffix.removesuffix(".bin"),
                "is_key_frame": True,
                "height": height,
                "width": width,
                "filename": f"samples/{sensor.name}/{drive.file_name}__{frame:06d}.{suffix}",
                **_neighbours(drive, "sample_data", f"{sensor.name} ", frame),
            }


def _neighbours(drive: Drive, what: str, of: str, frame: int) -> dict[str, str]:
    last = drive.info.n_frames - 1
    return {
        "prev": token(drive, what, f"{of}{frame - 1}") if frame else "",
        "next": token(drive, what, f"{of}{frame + 1}") if frame < last else "",
    }
