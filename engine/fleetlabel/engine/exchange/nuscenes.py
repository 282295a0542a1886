"""nuScenes tables v1.0 (Caesar et al., 2020): thirteen JSON tables that nuscenes-devkit loads.

Cuboids are in the global frame: translation of the centre, size as width, length, height, rotation as w, x, y, z. Our
world frame is the global one but for ``world_offset_m``. Times are whole microseconds. Every frame is a sample, and an
annotation holds at its sample's time. Categories carry nuScenes' names where it has the class, without which the devkit
cannot draw, and our name as their description; what its annotations have no field for is under ``fleetlabel``, which
the devkit passes over. A sequence is a version of its own, ``v1.0-<sequence>``. Boxes in pictures are no part of it.

A sample belongs to the frame of its time; scenes of which no sample is of the drive are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fleetlabel.engine.exchange.attributes import COMMON_ATTRIBUTES, number, read_attributes
from fleetlabel.engine.exchange.contract import Block, Carries, Reading, WritableFormat, exactly
from fleetlabel.engine.exchange.labels import Drive, Labels
from fleetlabel.engine.exchange.nuscenes_tables import DESCRIBED, map_row, tables_of
from fleetlabel.engine.exchange.rows import Rows
from fleetlabel.engine.exchange.writing import new_bytes, new_text, refuse_existing, write_json_array
from fleetlabel.engine.ingest.json_members import members
from fleetlabel.model.boxes import Boxes3D, Source
from fleetlabel.model.errors import SourceError

_COLUMNS = (
    *("center_m", "size_lwh_m", "q_wxyz", "track_id", "score", "ignore", "velocity_mps", "n_points"),
    *COMMON_ATTRIBUTES,
)
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
        folder = out / f"v1.0-{labels.drive.file_name}"
        refuse_existing(folder)
        n_boxes = 0
        for name, rows in tables_of(labels).items():
            with new_text(folder / f"{name}.json") as file:
                n_boxes = write_json_array(file, rows)
        mask = out / map_row(labels.drive)["filename"]
        if not mask.exists():
            with new_bytes(mask) as picture:
                picture.write(cv2.imencode(".png", np.zeros((8, 8), dtype=np.uint8))[1].tobytes())
        return [f"{folder}: {n_boxes} annotations in {labels.n_frames} samples"]

    def read(self, path: Path, reading: Reading) -> Iterator[Block]:
        """See the base class."""
        folder = tables_in(path, reading.drive)
        frames = frames_of_samples(folder, reading.drive)
        names = {
            str(row["token"]): str(row.get("description", "")).removeprefix(DESCRIBED)
            if str(row.get("description", "")).startswith(DESCRIBED)
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
