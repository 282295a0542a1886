"""ASAM OpenLABEL 1.0 (https://www.asam.net/standards/detail/openlabel/): objects by frame, with sensors and ego poses.

A ``bbox`` is centre x, centre y, width, height; a ``cuboid`` centre, quaternion x, y, z, w (or Euler angles), and sizes
along its own axes. Frame intervals are closed: both ends belong to them. ``transform_src_to_dst`` carries points from
src to dst, ``pose_wrt_parent`` from a coordinate system to its parent. Quaternions are w-first here and w-last there.

Cuboids are in ``world``, our local frame; what our world frame left out of the source's is ``world_offset_m`` in the
metadata. An object is named by its track id; negative numbers name boxes without identity, one each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from fleetlabel.engine.exchange.attributes import (
    ATTRIBUTES,
    COMMON_ATTRIBUTES,
    attribute_rows,
    given,
    number,
    read_attributes,
)
from fleetlabel.engine.exchange.contract import Block, Carries, Reading, WritableFormat, exactly
from fleetlabel.engine.exchange.files import label_files
from fleetlabel.engine.exchange.json_members import members
from fleetlabel.engine.exchange.labels import Drive, Labels
from fleetlabel.engine.exchange.rows import Rows, camera_named
from fleetlabel.engine.exchange.writing import REPORT, new_text, write_json_object
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64, AnyArray
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D, Source
from fleetlabel.model.cameras import FisheyeCamera, PinholeCamera
from fleetlabel.model.errors import SourceError
from fleetlabel.model.sensors import Sensor

_COLUMNS_2D = ("xyxy_px", "amodal_xyxy_px", "track_id", "score", "ignore", *ATTRIBUTES)
_COLUMNS_3D = (
    *("center_m", "size_lwh_m", "q_wxyz", "track_id", "score", "ignore", "velocity_mps", "n_points"),
    *COMMON_ATTRIBUTES,
)
_WORLD, _EGO = "world", "ego"
_EGO_NAMES = frozenset({_EGO, "vehicle-iso8855", "vehicle", "base", "base_link"})
_WORLD_NAMES = frozenset({_WORLD, "odom", "scene", "map"})
_NO_BOX, _NO_VELOCITY = (float("nan"),) * 4, (float("nan"),) * 3
_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "num"),
    (float, "num"),
    (str, "text"),
    (list, "vec"),
)


class OpenLabel(WritableFormat):
    """OpenLABEL 1.0, one file per sequence."""

    name = "openlabel"
    title = "OpenLABEL 1.0"
    looks_for = "<sequence>.json, or one .json file, with an object 'openlabel'"
    carries = Carries(
        pictures=exactly("class_id", *_COLUMNS_2D), cuboids=exactly("class_id", *_COLUMNS_3D), keyframes=True
    )

    def write(self, labels: Labels, out: Path) -> list[str]:
        """See the base class."""
        path = out / f"{labels.drive.file_name}.json"
        index = _Index.of(labels)
        with new_text(path) as file:
            head = {
                "metadata": _metadata(labels),
                "coordinate_systems": _coordinate_systems(labels.drive),
                "streams": {sensor.name: _stream(sensor) for sensor in labels.drive.info.sensors},
                "frame_intervals": [{"frame_start": 0, "frame_end": labels.n_frames - 1}],
            }
            file.write('{"openlabel": ' + json.dumps(head)[:-1])
            file.write(',\n"objects": ')
            write_json_object(file, index.objects(labels))
            file.write(',\n"frames": ')
            _write_frames(file, labels, index)
            file.write("}}\n")
        return [
            f"{path}: {len(index.track)} boxes of {len(index.first)} objects, {index.n_anonymous} without identity"
        ]

    def read(self, path: Path, reading: Reading) -> Iterator[Block]:
        """See the base class."""
        own = path / f"{reading.drive.file_name}.json"
        for file in [own] if own.is_file() else label_files(path, "*.json", "OpenLABEL file"):
            if file.name != REPORT:
                yield from _Reader(file, reading).blocks()


# --- writing --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Index:
    """Which object is where: rows of all boxes with identity, by object, kind and frame.

    Attributes:
        track, frame, kind, class_id: (N,); kind 0 is a cuboid, 1 + n a box in the n-th camera.
        first: (K,) row at which each object begins.
        n_anonymous: boxes without identity.
    """

    track: AnyArray
    frame: AnyArray
    kind: AnyArray
    class_id: AnyArray
    first: AnyArray
    n_anonymous: int

    @classmethod
    def of(cls, labels: Labels) -> _Index:
        parts, n_anonymous = [], 0
        for _, cuboids, pictures in labels.blocks():
            for kind, boxes in enumerate([cuboids, *pictures.values()]):
                known = boxes.track_id >= 0
                n_anonymous += int((~known).sum())
                columns = (boxes.track_id, boxes.frame, np.full(len(boxes), kind, np.int16), boxes.class_id)
                parts.append([column[known] for column in columns])
        tracks, frames, kinds, class_ids = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.lexsort((frames, kinds, tracks))
        first = np.unique(tracks[order], return_index=True)[1]
        return cls(tracks[order], frames[order], kinds[order], class_ids[order], first, n_anonymous)

    def type_of(self) -> dict[int, int]:
        """Class of every object: that of its first cuboid, or of its first box."""
        return dict(zip(self.track[self.first].tolist(), self.class_id[self.first].tolist(), strict=True))

    def objects(self, labels: Labels) -> Iterator[tuple[str, dict[str, Any]]]:
        """All objects, those without identity last."""
        names = ("cuboid", *labels.labelled_cameras)
        ends = np.append(self.first[1:], len(self.track))[: len(self.first)]
        for low, high in zip(self.first.tolist(), ends.tolist(), strict=True):
            pointers = {}
            for kind in np.unique(self.kind[low:high]).tolist():
                mine = self.frame[low:high][self.kind[low:high] == kind]
                pointers[names[kind]] = {
                    "type": "bbox" if kind else "cuboid",
                    "frame_intervals": _intervals(mine),
                }
            uid = str(self.track[low])
            yield uid, _object(uid, labels.class_names[self.class_id[low]], self.frame[low:high], pointers)
        anonymous = 0
        for _, cuboids, pictures in labels.blocks():
            for kind, boxes in enumerate([cuboids, *pictures.values()]):
                for row in np.flatnonzero(boxes.track_id < 0).tolist():
                    anonymous += 1
                    frame = boxes.frame[row : row + 1]
                    pointer = {"type": "bbox" if kind else "cuboid", "frame_intervals": _intervals(frame)}
                    name = boxes.class_names[boxes.class_id[row]]
                    yield str(-anonymous), _object(str(-anonymous), name, frame, {names[kind]: pointer})


def _object(uid: str, kind: str, frames: AnyArray, pointers: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": uid,
        "type": kind,
        "frame_intervals": _intervals(frames),
        "object_data_pointers": pointers,
    }


def _intervals(frames: AnyArray) -> list[dict[str, int]]:
    """Closed intervals that cover frames (N,)."""
    found = np.unique(frames)
    ends = np.flatnonzero(np.diff(found) > 1)
    starts, stops = found[np.append(0, ends + 1)], found[np.append(ends, len(found) - 1)]
    return [
        {"frame_start": start, "frame_end": stop}
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
    ]


def _write_frames(file: TextIO, labels: Labels, index: _Index) -> None:
    types, anonymous, separator = index.type_of(), 0, "{"
    for frames, cuboids, pictures in labels.blocks():
        found: dict[int, dict[str, dict[str, Any]]] = {frame: {} for frame in frames}
        for boxes, camera in ((cuboids, None), *((boxes, camera) for camera, boxes in pictures.items())):
            for frame, track, class_id, data in _data(boxes, camera):
                uid = track
                if track < 0:
                    anonymous += 1
                    uid = -anonymous
                elif types[track] != class_id:
                    said = data["attributes"].setdefault("text", [])
                    said.append({"name": "class", "val": boxes.class_names[class_id]})
                kinds = found[frame].setdefault(str(uid), {"object_data": {}})["object_data"]
                kinds.setdefault("bbox" if camera else "cuboid", []).append(data)
        times_ns = labels.drive.info.frame_timestamp_ns[frames.start : frames.stop]
        poses = labels.drive.info.trajectory.poses_at(times_ns).tolist()
        for frame, pose in zip(frames, poses, strict=True):
            value = {
                "frame_properties": _frame_properties(labels.drive, frame, pose),
                "objects": found[frame],
            }
            file.write(f'{separator}\n"{frame}": {json.dumps(value)}')
            separator = ","
    file.write("}")


def _data(boxes: Boxes, camera: str | None) -> Iterator[tuple[int, int, int, dict[str, Any]]]:
    """Frame, track, class and OpenLABEL's value of each box."""
    vectors: dict[str, tuple[list[bool], list[Any]]] = {}
    if isinstance(boxes, Boxes2D):
        values = _centered(boxes.xyxy_px)
        whole = given(boxes.amodal_xyxy_px)
        vectors["amodal_bbox"] = (whole, _centered(boxes.amodal_xyxy_px).tolist())
        name, system = camera, camera
    else:
        assert isinstance(boxes, Boxes3D)
        values = np.concatenate(
            [boxes.center_m, boxes.q_wxyz[:, 1:], boxes.q_wxyz[:, :1], boxes.size_lwh_m], axis=1
        )
        moving = given(boxes.velocity_mps)
        vectors["velocity_mps"] = (moving, boxes.velocity_mps.tolist())
        vectors["n_points"] = ((boxes.n_points >= 0).tolist(), boxes.n_points.tolist())
        name, system = "cuboid", _WORLD
    columns: tuple[Iterable[Any], ...] = (
        boxes.frame.tolist(),
        boxes.track_id.tolist(),
        boxes.class_id.tolist(),
        values.tolist(),
        boxes.score.tolist(),
        boxes.ignore.tolist(),
        attribute_rows(boxes),
    )
    for row, (frame, track, class_id, value, score, ignore, said) in enumerate(zip(*columns, strict=True)):
        said["score"] = score
        if ignore:
            said["ignore"] = True
        said.update({key: column[row] for key, (known, column) in vectors.items() if known[row]})
        yield (
            frame,
            track,
            class_id,
            {
                "name": name,
                "val": value,
                "coordinate_system": system,
                "attributes": _typed(said),
            },
        )


def _typed(said: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Attributes by OpenLABEL's types."""
    typed: dict[str, list[dict[str, Any]]] = {}
    for name, value in said.items():
        kind = next(kind for python, kind in _TYPES if isinstance(value, python))
        typed.setdefault(kind, []).append({"name": name, "val": value})
    return typed


def _centered(xyxy: F64) -> F64:
    return np.concatenate([(xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]], axis=1)


def _metadata(labels: Labels) -> dict[str, Any]:
    return {
        "schema_version": "1.0.0",
        "name": labels.drive.info.name,
        "annotator": "FleetLabel",
        "world_offset_m": labels.drive.info.world_offset_m.tolist(),
    }


def _coordinate_systems(drive: Drive) -> dict[str, Any]:
    names = [sensor.name for sensor in drive.info.sensors]
    systems: dict[str, Any] = {
        _WORLD: {"type": "scene_cs", "parent": "", "children": [_EGO]},
        _EGO: {"type": "local_cs", "parent": _WORLD, "children": names},
    }
    for sensor in drive.info.sensors:
        pose = {"matrix4x4": sensor.ego_from_sensor.reshape(-1).tolist()}
        systems[sensor.name] = {"type": "sensor_cs", "parent": _EGO, "children": [], "pose_wrt_parent": pose}
    return systems


def _stream(sensor: Sensor) -> dict[str, Any]:
    model = sensor.camera
    if model is None:
        return {"type": "lidar", "uri": "", "description": sensor.name}
    size = {"width_px": model.width_px, "height_px": model.height_px}
    properties: dict[str, Any]
    if isinstance(model, FisheyeCamera):
        properties = {
            "intrinsics_fisheye": {
                **size,
                "center_x_px": model.cx_px,
                "center_y_px": model.cy_px,
                "focal_length_x": model.fx_px,
                "focal_length_y": model.fy_px,
                "lens_coeffs": [model.k1, model.k2, model.k3, model.k4],
            }
        }
    else:
        assert isinstance(model, PinholeCamera)
        matrix = np.concatenate([model.matrix, np.zeros((3, 1))], axis=1)
        properties = {
            "intrinsics_pinhole": {
                **size,
                "camera_matrix": matrix.reshape(-1).tolist(),
                "distortion_coeffs": [model.k1, model.k2, model.p1, model.p2, model.k3],
            }
        }
    return {"type": "camera", "uri": "", "description": sensor.name, "stream_properties": properties}


def _frame_properties(drive: Drive, frame: int, pose: list[float]) -> dict[str, Any]:
    transform = {"quaternion": [*pose[4:], pose[3]], "translation": pose[:3]}
    return {
        "timestamp": _seconds(int(drive.info.frame_timestamp_ns[frame])),
        "streams": {
            camera: {"stream_properties": {"sync": {"timestamp": _seconds(int(times[frame]))}}}
            for camera, times in drive.exposure_ns.items()
        },
        "transforms": {
            f"{_EGO}_to_{_WORLD}": {"src": _EGO, "dst": _WORLD, "transform_src_to_dst": transform}
        },
    }


def _seconds(time_ns: int) -> str:
    return f"{time_ns // 1_000_000_000}.{time_ns % 1_000_000_000:09d}"


# --- reading --------------------------------------------------------------------------------------------------------


class _Reader:
    """One file's boxes."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self._path, self._reading = path, reading
        self._pictures = Rows(Boxes2D, path, reading, _COLUMNS_2D, unit="frame, object")
        self._cuboids = Rows(Boxes3D, path, reading, _COLUMNS_3D, unit="frame, object")
        self._types: dict[str, str] = {}
        self._systems: dict[str, str] = {}
        self._uids: dict[str, int] = {}

    def blocks(self) -> Iterator[Block]:
        """What was read, in blocks."""
        objects, systems, frames = (
            ("openlabel", name) for name in ("objects", "coordinate_systems", "frames")
        )
        for where, key, value in members(self._path, objects, systems):
            said = self._mapping(value, f"{self._path} {where[1]} {key}")
            if where == objects:
                self._types[str(key)] = str(said.get("type", ""))
                if said.get("object_data") and not said.get("object_data_pointers"):
                    self._reading.skipped["objects with data outside of frames"] += 1
            else:
                self._systems[str(key)] = str(said.get("type", ""))
        for _, key, value in members(self._path, frames):
            frame = int(key) if str(key).isdecimal() and len(str(key)) < 18 else -1
            at = f"{self._path} frame {str(key)[:40]}"
            for uid, item in self._mapping(self._mapping(value, at).get("objects", {}), at).items():
                self._object(frame, uid, self._mapping(item, f"{at} object {uid}"))
            for rows in (self._pictures, self._cuboids):
                if rows.full():
                    yield from rows.blocks()
        yield from self._pictures.blocks()
        yield from self._cuboids.blocks()

    def _object(self, frame: int, uid: str, item: Mapping[str, Any]) -> None:
        at = f"{frame}, {uid}"
        where = f"{self._path} frame {frame} object {uid}"
        for kind, entries in self._mapping(item.get("object_data", {}), where).items():
            if kind not in ("bbox", "cuboid"):
                self._reading.skipped[f"{kind} values: they are no boxes"] += 1
                continue
            if not isinstance(entries, list):
                raise SourceError(f"{where}: {kind} is {str(entries)[:80]}, expected a list")
            for entry in entries:
                data = self._mapping(entry, where)
                said = _untyped(data.get("attributes"), where)
                name = str(said.get("class", self._types.get(uid, "")))
                common = (
                    self._identity(uid, where),
                    number(said, "score", 1.0, where),
                    said.get("ignore") is True,
                )
                made_by = Source.DETECTOR if "score" in said else Source.UNKNOWN
                if kind == "bbox":
                    camera = camera_named(self._camera(data, said), self._reading, where)
                    whole = said.get("amodal_bbox")
                    edges = _edges(data.get("val"), where)
                    amodal = _NO_BOX if whole is None else _edges(whole, where)
                    rest = read_attributes(said, where, made_by)
                    self._pictures.add(at, camera, frame, name, edges, amodal, *common, *rest)
                else:
                    rest = read_attributes(said, where, made_by, COMMON_ATTRIBUTES)
                    speed, points = said.get("velocity_mps", _NO_VELOCITY), said.get("n_points", -1)
                    placed = self._placed(data, frame, where)
                    self._cuboids.add(at, None, frame, name, *placed, *common, speed, points, *rest)

    def _camera(self, data: Mapping[str, Any], said: Mapping[str, Any]) -> str | None:
        cameras = self._reading.drive.cameras
        names = (data.get("coordinate_system"), said.get("stream"), data.get("name"))
        return next((str(name) for name in names if name in cameras), None)

    def _placed(self, data: Mapping[str, Any], frame: int, where: str) -> tuple[F64, F64, F64]:
        """Centre, size and rotation in the world."""
        center, size, q_wxyz = _cuboid(data.get("val"), where)
        system = str(data.get("coordinate_system", _WORLD))
        kind, info = self._systems.get(system, ""), self._reading.drive.info
        if system in _WORLD_NAMES or kind in ("scene_cs", "geo_cs"):
            return center, size, q_wxyz
        sensors = {sensor.name: sensor for sensor in info.sensors}
        if system not in sensors and system not in _EGO_NAMES and kind != "local_cs":
            raise SourceError(
                f"{where} is in coordinate system {system!r}; known are {_WORLD}, {_EGO} and {list(sensors)}"
            )
        if not 0 <= frame < info.n_frames:
            return center, size, q_wxyz  # the frame is refused with the rest of the row
        world_from_src = info.trajectory.at(info.frame_timestamp_ns[[frame]])[0]
        if system in sensors:
            world_from_src = world_from_src @ sensors[system].ego_from_sensor
        turn = quaternion.from_matrix(world_from_src[:3, :3])
        return se3.apply(world_from_src, center[None])[0], size, quaternion.multiply(turn, q_wxyz)

    def _identity(self, uid: str, where: str) -> int:
        try:
            value = int(uid)
        except ValueError:  # a UUID: counted in the order in which they come
            return self._uids.setdefault(uid, len(self._uids) + 1)
        if abs(value) >= 1 << 63:
            raise SourceError(f"{where}: the object's number has more than 63 bits")
        return max(value, -1)

    def _mapping(self, value: Any, where: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise SourceError(
                f"{self._path} {where.removeprefix(str(self._path))}: expected an object, found {str(value)[:80]}"
            )
        return value


def _untyped(attributes: Any, where: str) -> dict[str, Any]:
    said: dict[str, Any] = {}
    try:
        for entries in (attributes or {}).values():
            said.update({str(entry["name"]): entry["val"] for entry in entries})
    except (AttributeError, TypeError, KeyError) as error:
        raise SourceError(
            f"{where} has {str(attributes)[:80]} for attributes, expected names and values"
        ) from error
    return said


def _edges(value: Any, where: str) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = (float(number) for number in value)
    except (TypeError, ValueError, OverflowError) as error:
        raise SourceError(
            f"{where}: a bbox is {str(value)[:80]}, expected centre x, y, width, height"
        ) from error
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _cuboid(value: Any, where: str) -> tuple[F64, F64, F64]:
    try:
        numbers = np.array([float(number) for number in value], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.empty(0)
    if len(numbers) not in (9, 10):
        raise SourceError(
            f"{where}: a cuboid is {str(value)[:80]}, expected centre, quaternion x y z w or three Euler angles, sizes"
        )
    if len(numbers) == 10:
        return numbers[:3], numbers[7:], numbers[[6, 3, 4, 5]]
    x, y, z = (
        np.array([np.cos(angle / 2), *(np.sin(angle / 2) * axis)])
        for angle, axis in zip(numbers[3:6], np.eye(3), strict=True)
    )
    return numbers[:3], numbers[6:], quaternion.multiply(z, quaternion.multiply(y, x))
