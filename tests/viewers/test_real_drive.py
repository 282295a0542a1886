"""A real drive: the outlines of labelled objects enclose the lidar points that lie in them, in every camera."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from fleetlabel.engine.ingest import list_sequences, open_sequence, write_ground_truth
from fleetlabel.geometry import boxes as cuboid_geometry
from fleetlabel.geometry import se3
from fleetlabel.store import SequenceStore
from fleetlabel.viewers.scene import SceneReader
from fleetlabel.viewers.sheet import draw_sheet

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> SequenceStore:
    folder = data_dir / "pandaset_drive"
    source = open_sequence(folder, list_sequences(folder)[0])
    made = SequenceStore.create(tmp_path_factory.mktemp("drive") / "drive.zarr", source.info)
    for sensor in source.info.sensors:
        part, quarantined = source.read_sensor(sensor.name, 0, 3)
        made.sensor_table(sensor.name).write(0, part, quarantined=quarantined)
        rest, _ = source.read_sensor(sensor.name, 3, source.info.n_frames)
        made.sensor_table(sensor.name).write(3, rest)
    write_ground_truth(made, source)
    return made


def test_outlines_enclose_the_points_of_their_objects(store: SequenceStore) -> None:
    frame, trajectory = 1, store.info.trajectory
    scene = SceneReader(store, ["ground_truth"]).at(frame)
    points = np.concatenate(
        [
            store.lidar(name).sweep(frame).points_world(store.info.sensor(name), trajectory)
            for name in ("pandar64", "pandar_gt")
        ]
    )
    checked = 0
    for view in scene.cameras:
        pose = trajectory.at(np.array([view.timestamp_ns]))[0] @ store.info.sensor(view.name).ego_from_sensor
        overlay = view.overlays[0]
        near = overlay.outlines.depth_m < 30
        for row in np.flatnonzero(near & np.isfinite(overlay.outlines.extent_px[:, 0])):
            box = overlay.cuboids.take(slice(row, row + 1))
            inside = cuboid_geometry.points_in_box(points, box.center_m[0], box.size_lwh_m[0], box.q_wxyz[0])
            uv, valid = view.camera.project(se3.apply(se3.invert(pose), points[inside]))
            seen = uv[valid & view.camera.inside(np.nan_to_num(uv, nan=-1.0))]
            if len(seen) < 20 or scene.ground is None:
                continue
            if np.linalg.norm(scene.ground.overlays[0].velocity_mps[row]) > 0.3:
                continue  # points and picture are of other times
            x1, y1, x2, y2 = overlay.outlines.extent_px[row]
            within = (seen >= (x1 - 3, y1 - 3)).all(axis=1) & (seen <= (x2 + 3, y2 + 3)).all(axis=1)
            assert within.mean() > 0.98, (view.name, row)
            checked += 1
    assert checked > 20


def test_six_cameras_are_drawn_fast_enough(store: SequenceStore) -> None:
    reader = SceneReader(store, ["ground_truth"])
    took = []
    for frame in range(5):
        started = time.process_time()
        sheet = draw_sheet(reader.at(frame))
        took.append(time.process_time() - started)
    assert sheet.shape == (1080, 1920, 3)
    assert np.median(took) < 0.3
