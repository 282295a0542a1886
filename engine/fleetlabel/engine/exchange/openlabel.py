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

from fleetlabel.engine.exchange.attributes import attribute_rows, given
from fleetlabel.engine.exchange.contract import Block, Carries, Reading, WritableFormat, exactly
from fleetlabel.engine.exchange.labels import Drive, Labels
from fleetlabel.engine.exchange.openlabel_reading import COLUMNS_2D, COLUMNS_3D, EGO, WORLD, OpenLabelReader
from fleetlabel.engine.exchange.writing import REPORT, new_text, write_json_object
from fleetlabel.engine.ingest.large_files import label_files
from fleetlabel.geometry.arrays import F64, AnyArray
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D
from fleetlabel.model.cameras import FisheyeCamera, PinholeCamera
from fleetlabel.model.sensors import Sensor

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
        pictures=exactly("class_id", *COLUMNS_2D), cuboids=exactly("class_id", *COLUMNS_3D), keyframes=True
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
                yield from OpenLabelReader(file, reading).blocks()


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
        """Reads all labels once, in blocks."""
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
        for _, kinds, uids in _numbered(labels):
            rows = [
                (uid, kind, row)
                for kind, of_kind in enumerate(uids)
                for row, uid in enumerate(of_kind.tolist())
            ]
            for uid, kind, row in sorted((entry for entry in rows if entry[0] < 0), reverse=True):
                boxes = kinds[kind]
                frame = boxes.frame[row : row + 1]
                pointer = {"type": "bbox" if kind else "cuboid", "frame_intervals": _intervals(frame)}
                name = boxes.class_names[boxes.class_id[row]]
                yield str(uid), _object(str(uid), name, frame, {names[kind]: pointer})


def _numbered(labels: Labels) -> Iterator[tuple[range, list[Boxes], list[AnyArray]]]:
    """Frames, their cuboids and boxes by camera, and the number of the object that each of these is (N,).

    Boxes without identity are numbered -1, -2, ... by frame, wherever blocks are cut.
    """
    n_anonymous = 0
    for frames, cuboids, pictures in labels.blocks():
        kinds: list[Boxes] = [cuboids, *pictures.values()]
        track, frame = (
            np.concatenate([getattr(boxes, name) for boxes in kinds]) for name in ("track_id", "frame")
        )
        anonymous = np.flatnonzero(track < 0)
        anonymous = anonymous[np.argsort(frame[anonymous], kind="stable")]
        track[anonymous] = -1 - n_anonymous - np.arange(len(anonymous))
        n_anonymous += len(anonymous)
        yield frames, kinds, np.split(track, np.cumsum([len(boxes) for boxes in kinds])[:-1])


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
    types, separator = index.type_of(), "{"
    for frames, kinds, uids in _numbered(labels):
        found: dict[int, dict[str, dict[str, Any]]] = {frame: {} for frame in frames}
        for boxes, camera, numbers in zip(kinds, (None, *labels.labelled_cameras), uids, strict=True):
            for uid, (frame, class_id, data) in zip(numbers.tolist(), _data(boxes, camera), strict=True):
                if uid >= 0 and types[uid] != class_id:
                    said = data["attributes"].setdefault("text", [])
                    said.append({"name": "class", "val": boxes.class_names[class_id]})
                of_object = found[frame].setdefault(str(uid), {"object_data": {}})["object_data"]
                of_object.setdefault("bbox" if camera else "cuboid", []).append(data)
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


def _data(boxes: Boxes, camera: str | None) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Frame, class and OpenLABEL's value of each box."""
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
        name, system = "cuboid", WORLD
    columns: tuple[Iterable[Any], ...] = (
        boxes.frame.tolist(),
        boxes.class_id.tolist(),
        values.tolist(),
        boxes.score.tolist(),
        boxes.ignore.tolist(),
        attribute_rows(boxes),
    )
    for row, (frame, class_id, value, score, ignore, said) in enumerate(zip(*columns, strict=True)):
        said["score"] = score
        if ignore:
            said["ignore"] = True
        said.update({key: column[row] for key, (known, column) in vectors.items() if known[row]})
        place = {"name": name, "val": value, "coordinate_system": system}
        yield frame, class_id, {**place, "attributes": _typed(said)}


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
        WORLD: {"type": "scene_cs", "parent": "", "children": [EGO]},
        EGO: {"type": "local_cs", "parent": WORLD, "children": names},
    }
    for sensor in drive.info.sensors:
        pose = {"matrix4x4": sensor.ego_from_sensor.reshape(-1).tolist()}
        systems[sensor.name] = {"type": "sensor_cs", "parent": EGO, "children": [], "pose_wrt_parent": pose}
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
        "transforms": {f"{EGO}_to_{WORLD}": {"src": EGO, "dst": WORLD, "transform_src_to_dst": transform}},
    }


def _seconds(time_ns: int) -> str:
    return f"{time_ns // 1_000_000_000}.{time_ns % 1_000_000_000:09d}"
