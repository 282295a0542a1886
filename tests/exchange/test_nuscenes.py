"""nuScenes: the contract, its conventions, detectors' results; nuscenes-devkit loads the tables and draws the boxes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from exchange.contract import LabelFormatContract
from exchange.scenes import CAMERAS, LabelsInMemory, drive, random_labels
from fleetlabel.engine.exchange import (
    export_labels,
    format_named,
    import_labels,
    read_labels,
    writable_format,
)
from fleetlabel.engine.exchange.certificate import match
from fleetlabel.engine.exchange.detections import detected_cuboids
from fleetlabel.engine.ingest.testing import ingest
from fleetlabel.model.boxes import Source
from fleetlabel.model.errors import SourceError
from ingest.nuscenes_drive import VERSION, write_nuscenes


class TestNuScenes(LabelFormatContract):
    format_name = "nuscenes"

    def is_read(self, path: Path) -> bool:
        return path.stem in ("sample", "category", "instance", "sample_annotation")


def written(tmp_path: Path, labels: LabelsInMemory) -> dict[str, list[dict[str, Any]]]:
    export_labels(labels, writable_format("nuscenes"), tmp_path, "made")
    return {
        path.stem: json.loads(path.read_text()) for path in (tmp_path / "v1.0-monday_drive").glob("*.json")
    }


def test_sizes_are_w_l_h_rotations_w_first_and_places_global(tmp_path: Path) -> None:
    labels = random_labels(9)
    rows = written(tmp_path, labels)["sample_annotation"]
    solid = labels.boxes3d
    for row, said in enumerate(rows):  # frame by frame, as they were given
        length, width, height = solid.size_lwh_m[row]
        assert said["size"] == [width, length, height]
        assert said["rotation"] == solid.q_wxyz[row].tolist()
        np.testing.assert_allclose(
            said["translation"], solid.center_m[row] + [4.0e5, 5.1e6, 100.0], atol=1e-9
        )


def test_instances_link_their_annotations(tmp_path: Path) -> None:
    labels = random_labels(9)
    tables = written(tmp_path, labels)
    by_token = {row["token"]: row for row in tables["sample_annotation"]}
    times = {row["token"]: row["timestamp"] for row in tables["sample"]}
    for instance in tables["instance"]:
        row, count, last = by_token[instance["first_annotation_token"]], 1, 0
        assert row["prev"] == ""
        while row["next"]:
            assert by_token[row["next"]]["prev"] == row["token"]
            assert times[by_token[row["next"]]["sample_token"]] > times[row["sample_token"]] > last
            row, count, last = by_token[row["next"]], count + 1, times[row["sample_token"]]
        assert row["token"] == instance["last_annotation_token"]
        assert count == instance["nbr_annotations"]
        assert count == (labels.boxes3d.track_id == instance["track_id"]).sum()


def results(tmp_path: Path, labels: LabelsInMemory, **changed: Any) -> Path:
    tables = written(tmp_path, labels)
    found: dict[str, list[Any]] = {sample["token"]: [] for sample in tables["sample"]}
    for row in tables["sample_annotation"]:
        box = {name: row[name] for name in ("translation", "size", "rotation")}
        box |= {
            "velocity": [1.5, -2.0],
            "detection_name": "car",
            "detection_score": 0.25,
            "attribute_name": "",
        }
        found[row["sample_token"]].append(box | changed)
    path = tmp_path / "results_nusc.json"
    path.write_text(json.dumps({"meta": {"use_lidar": True}, "results": found}))
    return path


def test_results_of_a_detector_are_read(tmp_path: Path) -> None:
    labels = random_labels(9)
    found = read_labels(format_named("nuscenes-results"), results(tmp_path, labels), labels.drive).cuboids
    assert found is not None
    partner = match(found, labels.boxes3d, by_identity=False)
    np.testing.assert_allclose(found.corners_m(), labels.boxes3d.corners_m()[partner], atol=1e-6)
    assert set(found.source.tolist()) == {Source.DETECTOR}
    assert set(found.score.tolist()) == {0.25}
    assert found.velocity_mps[0].tolist() == [1.5, -2.0, 0.0]
    assert set(found.class_labels().tolist()) == {"car"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": [1, 2]}, "size is"),
        ({"rotation": [0, 0, 0, 0]}, "not of unit length"),
        ({"translation": [1, 2, "x"]}, "translation is"),
        ({"detection_name": None, "velocity": 3}, "detection_name"),
        ({"detection_score": "high"}, "detection_score is"),
    ],
)
def test_results_that_make_no_sense_are_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    labels = random_labels(9)
    path = results(tmp_path, labels, **changed)
    with pytest.raises(SourceError, match=message):
        read_labels(format_named("nuscenes-results"), path, labels.drive)


def test_results_of_another_drive_are_refused(tmp_path: Path) -> None:
    path = results(tmp_path / "one", random_labels(9))
    path = path.rename(tmp_path / "results.json")
    with pytest.raises(SourceError, match="another drive"):
        read_labels(format_named("nuscenes-results"), path, drive(name="tuesday"))


def test_tables_of_a_whole_data_set_come_onto_the_scene_that_was_ingested_from_it(tmp_path: Path) -> None:
    write_nuscenes(tmp_path / "data")
    store = ingest(tmp_path / "data", tmp_path / "drive.zarr")
    version, _ = import_labels(store, writable_format("nuscenes"), tmp_path / "data")
    mine, theirs = store.labels3d(version.name), store.labels3d("ground_truth")
    partner = match(mine, theirs, by_identity=False)
    assert len(mine) == len(theirs) == len(np.unique(partner))
    np.testing.assert_allclose(mine.corners_m(), theirs.corners_m()[partner], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(mine.timestamp_ns, theirs.timestamp_ns[partner])
    assert mine.class_labels().tolist() == theirs.class_labels()[partner].tolist()
    # A detector's results on that data set: the tables beside them say when each sample was.
    rows = json.loads((tmp_path / "data" / VERSION / "sample_annotation.json").read_text())
    found: dict[str, list[Any]] = {}
    for row in rows:
        box = {name: row[name] for name in ("translation", "size", "rotation")}
        found.setdefault(row["sample_token"], []).append(
            box | {"detection_name": "car", "detection_score": 0.5}
        )
    path = tmp_path / "data/results.json"
    path.write_text(json.dumps({"results": found}))
    detected = detected_cuboids(path, store.info)
    partner = match(detected, theirs, by_identity=False)
    np.testing.assert_allclose(detected.corners_m(), theirs.corners_m()[partner], rtol=0, atol=1e-6)


def test_tables_that_name_files_elsewhere_open_none(tmp_path: Path) -> None:
    labels = random_labels(9)
    tables = written(tmp_path, labels)
    for row in tables["sample_data"]:
        row["filename"] = "../../../../etc/passwd"
    folder = tmp_path / "v1.0-monday_drive"
    (folder / "sample_data.json").write_text(json.dumps(tables["sample_data"]))
    (folder / "map.json").write_text('[{"filename": "/dev/zero"}]')
    assert read_labels(writable_format("nuscenes"), tmp_path, labels.drive).cuboids is not None


def test_nuscenes_devkit_loads_the_tables_and_draws_the_boxes_in_place(
    tmp_path: Path, ask_oracle: Callable[..., Any]
) -> None:
    on = drive(n_frames=4)
    labels = random_labels(6, 24, on=on, classes=("car", "pedestrian", "vehicle.bus.rigid", "traffic_cone"))
    tables = written(tmp_path, labels)
    for row in tables["sample_data"]:
        if row["fileformat"] == "jpg":
            (tmp_path / row["filename"]).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(
                str(tmp_path / row["filename"]), np.zeros((row["height"], row["width"], 3), dtype=np.uint8)
            )
    found = ask_oracle("nuscenes_devkit", tmp_path, "v1.0-monday_drive")
    assert found["scenes"] == ["monday_drive"]
    n_drawn = 0
    for camera in CAMERAS:
        sensor = on.info.sensor(camera)
        for frame in range(4):
            mine = labels.boxes3d.take(labels.boxes3d.frame == frame)
            pose = on.info.trajectory.at(on.info.frame_timestamp_ns[[frame]])[0] @ sensor.ego_from_sensor
            corners = (mine.corners_m() - pose[:3, 3]) @ pose[:3, :3]
            for drawn in found["boxes"][f"{camera} {frame}"]:
                # The same eight corners in the camera's frame, whatever their order.
                theirs = np.array(drawn)
                distance = (
                    np.linalg.norm(corners[:, :, None] - theirs[None, None], axis=-1).min(axis=2).max(axis=1)
                )
                assert distance.min() < 1e-6
                # Lines in the picture end where our own camera sees these corners.
                assert sensor.camera is not None
                uv, _ = sensor.camera.project(corners[distance.argmin()])
                ends = np.array(found["drawn"][f"{camera} {frame}"]).reshape(-1, 2)
                if (corners[distance.argmin()][:, 2] > 0.1).all():
                    assert np.linalg.norm(uv[:, None] - ends[None], axis=2).min(axis=1).max() < 1e-3
                    n_drawn += 1
    assert n_drawn > 5
