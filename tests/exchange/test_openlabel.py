"""OpenLABEL: the contract, the standard's conventions, and its own JSON schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from exchange.contract import LabelFormatContract
from exchange.scenes import drive, random_labels
from fleetlabel.engine.exchange import export_labels, read_labels, writable_format
from fleetlabel.geometry import se3
from fleetlabel.model.errors import SourceError


class TestOpenLabel(LabelFormatContract):
    format_name = "openlabel"


def written(tmp_path: Path, seed: int = 4) -> tuple[Any, dict[str, Any]]:
    labels = random_labels(seed)
    export_labels(labels, writable_format("openlabel"), tmp_path, "made")
    return labels, json.loads((tmp_path / "monday_drive.json").read_text())["openlabel"]


def test_boxes_are_centred_quaternions_end_with_w_and_intervals_are_closed(tmp_path: Path) -> None:
    labels, document = written(tmp_path)
    solid = labels.boxes3d
    for row, (frame, track) in enumerate(zip(solid.frame, solid.track_id, strict=True)):
        val = document["frames"][str(frame)]["objects"][str(track)]["object_data"]["cuboid"][0]["val"]
        np.testing.assert_array_equal(val[:3], solid.center_m[row])
        np.testing.assert_array_equal(val[3:7], solid.q_wxyz[row][[1, 2, 3, 0]])
        np.testing.assert_array_equal(val[7:], solid.size_lwh_m[row])
        corner = (
            Rotation.from_quat(val[3:7]).apply(np.array(val[7:]) / 2) + val[:3]
        )  # scipy's order is x y z w, too
        assert np.abs(solid.corners_m()[row] - corner).sum(axis=1).min() < 1e-9
        inside = document["objects"][str(track)]["object_data_pointers"]["cuboid"]["frame_intervals"]
        assert any(part["frame_start"] <= frame <= part["frame_end"] for part in inside)
    for track in np.unique(solid.track_id):
        parts = document["objects"][str(track)]["object_data_pointers"]["cuboid"]["frame_intervals"]
        frames = [f for part in parts for f in range(part["frame_start"], part["frame_end"] + 1)]
        assert frames == solid.frame[solid.track_id == track].tolist()
    boxes = labels.boxes2d["front"]
    row = int(np.flatnonzero(~boxes.ignore)[0])
    data = document["frames"][str(boxes.frame[row])]["objects"][str(boxes.track_id[row])]["object_data"][
        "bbox"
    ]
    x, y, w, h = next(entry for entry in data if entry["coordinate_system"] == "front")["val"]
    np.testing.assert_allclose([x - w / 2, y - h / 2, x + w / 2, y + h / 2], boxes.xyxy_px[row], atol=1e-9)


def test_transforms_carry_points_from_src_to_dst(tmp_path: Path) -> None:
    labels, document = written(tmp_path)
    info = labels.drive.info
    pose = document["frames"]["3"]["frame_properties"]["transforms"]["ego_to_world"]
    assert (pose["src"], pose["dst"]) == ("ego", "world")
    said = pose["transform_src_to_dst"]
    point = Rotation.from_quat(said["quaternion"]).apply([1.0, 2.0, 3.0]) + said["translation"]
    expected = se3.apply(info.trajectory.at(info.frame_timestamp_ns[[3]])[0], np.array([[1.0, 2.0, 3.0]]))[0]
    np.testing.assert_allclose(point, expected, atol=1e-9)
    front = np.array(document["coordinate_systems"]["front"]["pose_wrt_parent"]["matrix4x4"]).reshape(4, 4)
    np.testing.assert_array_equal(front, info.sensor("front").ego_from_sensor)
    assert document["coordinate_systems"]["front"]["parent"] == "ego"


def foreign(tmp_path: Path, cuboid: dict[str, Any], frame: str = "2") -> Path:
    uid = "c44c1fc2-ee48-4b17-a20e-829de9be1141"
    document = {
        "openlabel": {
            "frames": {frame: {"objects": {uid: {"object_data": {"cuboid": [{"name": "shape", **cuboid}]}}}}},
            "metadata": {"schema_version": "1.0.0"},
            "objects": {uid: {"name": "one", "type": "car"}},
        }
    }
    path = tmp_path / "foreign.json"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("system", ["vehicle-iso8855", "top", "front", "odom"])
def test_cuboids_in_other_coordinate_systems_are_placed(tmp_path: Path, system: str) -> None:
    on = drive()
    pose = on.info.trajectory.at(on.info.frame_timestamp_ns[[2]])[0]
    if system in ("top", "front"):
        pose = pose @ on.info.sensor(system).ego_from_sensor
    pose = np.eye(4) if system == "odom" else pose
    turn = Rotation.from_euler("xyz", [0.1, -0.2, 3.0])
    path = foreign(tmp_path, {"val": [5, 1, 0.5, 0.1, -0.2, 3.0, 4, 2, 1.5], "coordinate_system": system})
    found = read_labels(writable_format("openlabel"), path, on).cuboids
    assert found is not None
    local = turn.apply(np.array([2, 1, 0.75])) + np.array([5, 1, 0.5])
    corner = se3.apply(pose, local[None])[0]
    assert np.abs(found.corners_m()[0] - corner).sum(axis=1).min() < 1e-9
    assert (found.class_labels().tolist(), found.track_id.tolist()) == (["car"], [1])


@pytest.mark.parametrize(
    ("cuboid", "frame", "message"),
    [
        ({"val": [1, 2, 3]}, "2", "expected centre"),
        ({"val": [0] * 10}, "2", "not of unit length"),
        ({"val": [0, 0, 0, 0, 0, 0, 1, -1, 1, 1]}, "2", "negative size"),
        ({"val": [0, 0, 0, 0, 0, 0, 1, 1, 1, 1], "coordinate_system": "mars"}, "2", "'mars'; known are"),
        ({"val": [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]}, "99999999999999", "is of frame 99999999999999"),
        ({"val": [0, 0, 0, 0, 0, 0, 1, 1, 1, 1], "attributes": {"num": 4}}, "2", "for attributes"),
    ],
)
def test_what_makes_no_sense_is_named(
    tmp_path: Path, cuboid: dict[str, Any], frame: str, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        read_labels(writable_format("openlabel"), foreign(tmp_path, cuboid, frame), drive())


def test_files_follow_the_standards_schema(tmp_path: Path, ask_oracle: Callable[..., Any]) -> None:
    written(tmp_path)
    labels = random_labels(3, anonymous=True, on=drive(name="tuesday"))
    export_labels(labels, writable_format("openlabel"), tmp_path, "made")
    for name in ("monday_drive", "tuesday"):
        assert ask_oracle("openlabel_schema", tmp_path / f"{name}.json") == []
