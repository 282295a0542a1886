"""OpenLABEL files read; conventions are in :mod:`fleetlabel.engine.exchange.openlabel`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.exchange.attributes import ATTRIBUTES, COMMON_ATTRIBUTES, number, read_attributes
from fleetlabel.engine.exchange.contract import Block, Reading
from fleetlabel.engine.exchange.rows import Rows, camera_named
from fleetlabel.engine.ingest.json_members import members
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.model.errors import SourceError

COLUMNS_2D = ("xyxy_px", "amodal_xyxy_px", "track_id", "score", "ignore", *ATTRIBUTES)
COLUMNS_3D = (
    *("center_m", "size_lwh_m", "q_wxyz", "track_id", "score", "ignore", "velocity_mps", "n_points"),
    *COMMON_ATTRIBUTES,
)
WORLD, EGO = "world", "ego"
_EGO_NAMES = frozenset({EGO, "vehicle-iso8855", "vehicle", "base", "base_link"})
_WORLD_NAMES = frozenset({WORLD, "odom", "scene", "map"})
_NO_BOX, _NO_VELOCITY = (float("nan"),) * 4, (float("nan"),) * 3


class OpenLabelReader:
    """One file's boxes."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self._path, self._reading = path, reading
        self._pictures = Rows(Boxes2D, path, reading, COLUMNS_2D, unit="frame, object")
        self._cuboids = Rows(Boxes3D, path, reading, COLUMNS_3D, unit="frame, object")
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
        system = str(data.get("coordinate_system", WORLD))
        kind, info = self._systems.get(system, ""), self._reading.drive.info
        if system in _WORLD_NAMES or kind in ("scene_cs", "geo_cs"):
            return center, size, q_wxyz
        sensors = {sensor.name: sensor for sensor in info.sensors}
        if system not in sensors and system not in _EGO_NAMES and kind != "local_cs":
            raise SourceError(
                f"{where} is in coordinate system {system!r}; known are {WORLD}, {EGO} and {list(sensors)}"
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
