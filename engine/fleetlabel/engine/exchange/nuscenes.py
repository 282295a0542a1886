"""nuScenes tables v1.0 (Caesar et al., 2020): thirteen JSON tables that nuscenes-devkit loads.

Cuboids are in the global frame: translation of the centre, size as width, length, height, rotation as w, x, y, z. Our
world frame is the global one but for ``world_offset_m``. Times are whole microseconds. Every frame is a sample, and an
annotation holds at its sample's time. Categories carry nuScenes' names where it has the class, without which the devkit
cannot draw, and our name as their description; what its annotations have no field for is under ``fleetlabel``, which
the devkit passes over. A sequence is a version of its own, ``v1.0-<sequence>``. Boxes in pictures are no part of it.

A sample belongs to the frame of its time; scenes of which no sample is of the drive are passed over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fleetlabel.engine.exchange.attributes import (
    COMMON_ATTRIBUTES,
    attribute_rows,
    given,
    number,
    read_attributes,
)
from fleetlabel.engine.exchange.contract import Block, Carries, Reading, WritableFormat, exactly
from fleetlabel.engine.exchange.json_members import members
from fleetlabel.engine.exchange.labels import Drive, Labels
from fleetlabel.engine.exchange.rows import Rows
from fleetlabel.engine.exchange.writing import new_bytes, new_text, refuse_existing, write_json_array
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import I64
from fleetlabel.model.boxes import Boxes3D, Source
from fleetlabel.model.errors import SourceError
from fleetlabel.model.ontology import NUSCENES, canonical
from fleetlabel.model.sensors import Sensor, SensorKind

_COLUMNS = (
    *("center_m", "size_lwh_m", "q_wxyz", "track_id", "score", "ignore", "velocity_mps", "n_points"),
    *COMMON_ATTRIBUTES,
)
_DESCRIBED = "FleetLabel class: "
# nuScenes' first name for each of our classes.
_CATEGORY = {ours: theirs for theirs, ours in reversed(list(NUSCENES.items()))} | {
    "pedestrian": "human.pedestrian.adult"
}
_VISIBILITY = {"1": "v0-40", "2": "v40-60", "3": "v60-80", "4": "v80-100"}
_SEEN = {0: "4", 1: "3", 2: "2"}  # by occlusion: none, partly, largely
_NO_VELOCITY = (float("nan"),) * 3
# Of a sample's time from its frame's: times are cut to microseconds, and clocks are converted.
_TOLERANCE_NS = 1_000_000


class NuScenesTables(WritableFormat):
    """nuScenes tables."""

    name = "nuscenes"
    title = "nuScenes v1.0"
    looks_for = "v1.0-*/ with sample.json, instance.json, category.json and sample_annotation.json"
    carries = Carries(
        cuboids=exactly("class_id", *_COLUMNS, timestamp_ns="moved along the track to the frame's time"),
        keyframes=True,
        notes=("no pictures and sweeps are written; the tables name where the devkit looks for them",),
    )

    def write(self, labels: Labels, out: Path) -> list[str]:
        """See the base class."""
        drive = labels.drive
        folder = out / f"v1.0-{drive.file_name}"
        refuse_existing(folder)
        index = _Index.of(labels)
        tables: dict[str, Iterable[dict[str, Any]]] = {
            "visibility": (
                {"token": t, "level": level, "description": level} for t, level in _VISIBILITY.items()
            ),
            "attribute": (),
            "category": _categories(labels),
            "sensor": (_sensor(drive, sensor) for sensor in drive.info.sensors),
            "calibrated_sensor": (_calibrated(drive, sensor) for sensor in drive.info.sensors),
            "log": [_log(drive)],
            "map": [_map(drive)],
            "scene": [_scene(drive)],
            "sample": _samples(drive),
            "ego_pose": _ego_poses(drive),
            "sample_data": _sample_data(drive),
            "instance": index.instances(labels),
            "sample_annotation": index.annotations(labels),
        }
        n_boxes = 0
        for name, rows in tables.items():
            with new_text(folder / f"{name}.json") as file:
                n_boxes = write_json_array(file, rows)
        mask = out / _map(drive)["filename"]
        if not mask.exists():
            with new_bytes(mask) as picture:
                picture.write(cv2.imencode(".png", np.zeros((8, 8), dtype=np.uint8))[1].tobytes())
        return [f"{folder}: {n_boxes} annotations in {labels.n_frames} samples"]

    def read(self, path: Path, reading: Reading) -> Iterator[Block]:
        """See the base class."""
        folder = tables_in(path, reading.drive)
        frames = frames_of_samples(folder, reading.drive)
        names = {
            str(row["token"]): str(row.get("description", "")).removeprefix(_DESCRIBED)
            if str(row.get("description", "")).startswith(_DESCRIBED)
            else str(row.get("name", ""))
            for row in table(folder, "category", "token")
        }
        instances: dict[str, tuple[str, int]] = {}
        for count, row in enumerate(table(folder, "instance", "token", "category_token"), start=1):
            category = str(row["category_token"])
            if category not in names:
                raise SourceError(
                    f"{folder / 'instance.json'} row {count - 1} is of category {category[:40]!r}, unknown"
                )
            track = row.get("track_id", count)
            instances[str(row["token"])] = (names[category], track if type(track) is int else count)
        path, offset = folder / "sample_annotation.json", reading.drive.info.world_offset_m
        rows = Rows(Boxes3D, path, reading, _COLUMNS, unit="row")
        required = ("sample_token", "instance_token", "translation", "size", "rotation")
        for at, row in enumerate(table(folder, "sample_annotation", *required)):
            frame = frames.get(str(row["sample_token"]))
            if frame is None:
                continue  # of another scene
            where = f"{path} row {at}"
            if str(row["instance_token"]) not in instances:
                raise SourceError(
                    f"{where} is of instance {str(row['instance_token'])[:40]!r}, which is unknown"
                )
            name, track = instances[str(row["instance_token"])]
            said = row.get("fleetlabel", {})
            if not isinstance(said, Mapping):
                raise SourceError(f"{where}: fleetlabel is {str(said)[:80]}, expected names and values")
            if row.get("attribute_tokens"):
                reading.skipped["attributes of annotations"] += 1
            translation, size, rotation = placed(row, where)
            rows.add(
                at,
                None,
                frame,
                str(said.get("class", name)),
                translation - offset,
                size[[1, 0, 2]],
                rotation,
                said.get("track_id", track),
                number(said, "score", 1.0, where),
                said.get("ignore") is True,
                said.get("velocity_mps", _NO_VELOCITY),
                row.get("num_lidar_pts", -1),
                *read_attributes(said, where, Source.UNKNOWN, COMMON_ATTRIBUTES),
            )
            if rows.full():
                yield from rows.blocks()
        yield from rows.blocks()


# --- reading --------------------------------------------------------------------------------------------------------


def tables_in(path: Path, drive: Drive) -> Path:
    """The folder with the tables: of the drive's own version, the folder itself, or the one version in it.

    Raises:
        SourceError: there is none, or there are several.
    """
    own = path / f"v1.0-{drive.file_name}"
    if own.is_dir() or (path / "sample.json").is_file():
        return own if own.is_dir() else path
    found = sorted(file.parent for file in path.glob("v1.0-*/sample.json"))
    if len(found) != 1:
        raise SourceError(
            f"{path} has {len(found)} versions of nuScenes tables ({', '.join(f.name for f in found) or 'v1.0-*/'}); "
            "give the folder of the one that is wanted"
        )
    return found[0]


def frames_of_samples(folder: Path, drive: Drive) -> dict[str, int]:
    """Frame by token of the drive's samples.

    Raises:
        SourceError: a scene has samples of the drive and others.
    """
    tokens, scenes, times = [], [], []
    for at, row in enumerate(table(folder, "sample", "token", "timestamp")):
        if type(row["timestamp"]) is not int or abs(row["timestamp"]) >= 1 << 53:
            raise SourceError(
                f"{folder / 'sample.json'} row {at}: timestamp is {str(row['timestamp'])[:40]}, not in us"
            )
        tokens.append(str(row["token"]))
        scenes.append(str(row.get("scene_token", "")))
        times.append(row["timestamp"] * 1000)
    if not tokens:
        return {}
    frame_ns, time_ns = drive.info.frame_timestamp_ns, np.array(times, dtype=np.int64)
    after = np.clip(np.searchsorted(frame_ns, time_ns), 1, max(1, len(frame_ns) - 1))
    before = after - 1
    after = np.minimum(after, len(frame_ns) - 1)
    nearest = np.where(np.abs(frame_ns[after] - time_ns) < np.abs(frame_ns[before] - time_ns), after, before)
    hit = np.abs(frame_ns[nearest] - time_ns) <= _TOLERANCE_NS
    mine = {scene for scene, inside in zip(scenes, hit.tolist(), strict=True) if inside}
    for token, scene, inside in zip(tokens, scenes, hit.tolist(), strict=True):
        if scene in mine and not inside:
            raise SourceError(
                f"{folder / 'sample.json'}: scene {scene} has sample {token} at no frame's time of {drive.info.name}, "
                "but others are; these labels are of another drive"
            )
    return {t: f for t, f, inside in zip(tokens, nearest.tolist(), hit.tolist(), strict=True) if inside}


def table(folder: Path, name: str, *required: str) -> Iterator[Mapping[str, Any]]:
    """Rows of a table.

    Raises:
        SourceError: a row lacks a field.
    """
    path = folder / f"{name}.json"
    for _, at, row in members(path, ()):
        if not isinstance(row, Mapping) or any(field not in row for field in required):
            raise SourceError(f"{path} row {at} is {str(row)[:80]}, expected {', '.join(required)}")
        yield row


def placed(row: Mapping[str, Any], where: str) -> tuple[Any, Any, Any]:
    """Translation (3,), size w l h (3,) and rotation w x y z (4,) of an annotation or result, in the global frame.

    Raises:
        SourceError: they are no such numbers.
    """
    found = []
    for name, count in (("translation", 3), ("size", 3), ("rotation", 4)):
        try:
            value = np.array([float(number) for number in row[name]], dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            value = np.empty(0)
        if value.shape != (count,):
            raise SourceError(f"{where}: {name} is {str(row[name])[:80]}, expected {count} numbers")
        found.append(value)
    return found[0], found[1], found[2]


# --- writing --------------------------------------------------------------------------------------------------------


class _Index:
    """Annotations of all instances, by track and frame: what comes before and after each."""

    def __init__(self, track: I64, frame: I64, class_id: I64) -> None:
        order = np.lexsort((np.arange(len(track)), frame, track))
        self.first, self.count = np.unique(track[order], return_index=True, return_counts=True)[1:]
        self.track, self.class_id = track[order][self.first], class_id[order][self.first]
        self._sorted, self._place = order, np.empty(len(order), dtype=np.int64)
        self._place[order] = np.arange(len(order))
        self._track_of = track

    @classmethod
    def of(cls, labels: Labels) -> _Index:
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
        described = {"name": theirs, "description": f"{_DESCRIBED}{name}", "index": row}
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


def _map(drive: Drive) -> dict[str, Any]:
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
