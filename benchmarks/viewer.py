"""The annotation app's own time: frame steps with prefetching, the timeline and the list with very many tracks.

    python benchmarks/viewer.py STORE [--steps 60] [--tracks 500] [--json FILE]

``STORE`` is a labelled drive with cameras and lidar; it is copied, and nothing of it is changed. What is measured is
everything that the app does for a step but the renderer's drawing of the perspective view: labels, six pictures with
their overlays, top, side and rear view, timeline, list, object strip, header, and the arrays of the scene. A step waits
for its frame if it has not been fetched yet; people take a moment between two steps (``--pause``). Times are of one
thread beside two that fetch. The list and the timeline are measured on a made-up drive of ``--tracks`` tracks.

If the drive has ground truth, new cars are drawn where it has one in every frame, with two clicks each in the middle
frame: on the point nearest to whoever looks, and on one in between. What share of them is where the truth is, within
0.7 m and 7 degrees (fronts taken for backs are right), is told for the frame of the click, and once they were followed.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.geometry import quaternion
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.boxes import Boxes3D, Source
from fleetlabel.store import SequenceInfo, SequenceStore
from fleetlabel.viewers.editor.creating import USUAL_SIZES_M, Ghost, follow
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.fitting import found_box
from fleetlabel.viewers.editor.keys import KeyTable
from fleetlabel.viewers.editor.local_source import LocalSource
from fleetlabel.viewers.editor.perspective import color_points, cuboid_lines
from fleetlabel.viewers.editor.pose import BoxPose
from fleetlabel.viewers.panels.cameras_panel import draw_cameras
from fleetlabel.viewers.panels.header_panel import draw_header
from fleetlabel.viewers.panels.list_panel import draw_list
from fleetlabel.viewers.panels.panes_panel import draw_panes
from fleetlabel.viewers.panels.strip_panel import draw_strip
from fleetlabel.viewers.panels.timeline_panel import draw_timeline
from fleetlabel.viewers.sensors import SensorFrames

# Cars that clicks are tried on have so many points, and so many above their middle.
_FEWEST_POINTS, _FEWEST_UPPER = 60, 5
_OFF_M, _OFF_RAD = 0.7, math.radians(7.0)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--tracks", type=int, default=500)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between steps")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "drive.zarr"
        shutil.copytree(given.store, copy)
        result = _steps(copy, given.steps, given.pause)
        result |= _many_tracks(Path(folder) / "many.zarr", given.tracks)
    result |= _clicks(SequenceStore.open(given.store))
    for name, spread in result.items():
        print(f"{name:24} " + "  ".join(f"{key} {value:7.2f}" for key, value in spread.items()))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1))


def _steps(root: Path, steps: int, pause_s: float) -> dict[str, dict[str, float]]:
    """Steps to and fro through a drive with an object selected."""
    editor = Editor(LocalSource(SequenceStore.open(root), "benchmark"), KeyTable())
    tracks = editor.source.tracks()
    longest = int(np.argmax((tracks.last - tracks.first) * tracks.solid))
    editor.select(int(tracks.object_id[longest]))
    editor.points.wait()
    _draw_all(editor)
    taken, worked, way = [], [], 1
    for _ in range(steps):
        time.sleep(pause_s)
        frame = editor.session.frame
        if not 0 <= frame + way < editor.session.n_frames:
            way = -way
        start, thread = time.perf_counter(), time.thread_time()
        editor.key_down("f" if way > 0 else "d")
        editor.key_up("f" if way > 0 else "d")
        _draw_all(editor)
        taken.append(time.perf_counter() - start)
        worked.append(time.thread_time() - thread)
    editor.close()
    return {"frame_step_ms": _spread(taken), "frame_step_cpu_ms": _spread(worked)}


def _draw_all(editor: Editor) -> None:
    s = editor.session
    for draw in (draw_header, draw_list, draw_cameras, draw_panes, draw_timeline, draw_strip):
        draw(editor)
    cuboids = editor.cuboids()
    cuboid_lines(cuboids, s.box_colors)
    points, pictures = editor.cache.cloud(s.frame), editor.cache.pictures(s.frame)
    color_points(points, s.point_colors, editor.world_from_ego[:3, 3], pictures, cuboids, editor.ground_m)


def _many_tracks(root: Path, count: int) -> dict[str, dict[str, float]]:
    n_frames = 200
    times = np.arange(n_frames, dtype=np.int64) * 100_000_000
    poses = np.tile([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (n_frames, 1))
    store = SequenceStore.create(root, SequenceInfo("many", (), times, Trajectory(times, poses)))
    rng = np.random.default_rng(0)
    frame, track = (a.ravel() for a in np.meshgrid(np.arange(n_frames), np.arange(count), indexing="ij"))
    n = len(frame)
    solid = Boxes3D(
        class_names=("car", "pedestrian"),
        frame=frame.astype(np.int32),
        timestamp_ns=times[frame],
        class_id=(track % 2).astype(np.int16),
        track_id=track + 1,
        source=np.full(n, Source.DETECTOR),
        detection=np.arange(n, dtype=np.int32),
        center_m=np.stack([(track % 50) * 6.0, (track // 50) * 6.0, np.zeros(n)], axis=1),
        size_lwh_m=np.tile([4.0, 1.8, 1.6], (n, 1)),
        q_wxyz=quaternion.from_yaw(rng.normal(scale=0.02, size=n)),
        n_points=np.full(n, 20),
    )
    store.write_labels("machine", {}, solid, class_names=solid.class_names, provenance={"made": "up"})
    editor = Editor(LocalSource(store, "benchmark"), KeyTable())
    editor.select(count // 2)
    result = {}
    for name, draw in (("timeline_ms", draw_timeline), ("list_ms", draw_list)):
        result[f"{name} ({count} tracks)"] = _spread(_timed(editor, draw))
    editor.close()
    return result


def _clicks(store: SequenceStore) -> dict[str, dict[str, float]]:
    """Shares of new cars from one click that are where the truth is."""
    if "ground_truth" not in store.label_versions():
        return {}
    n, middle = store.info.n_frames, store.info.n_frames // 2
    sensors = SensorFrames(store)
    cloud = lru_cache(n)(lambda frame: sensors.cloud(frame).world_m)
    poses = store.info.trajectory.at(store.info.frame_timestamp_ns)
    forward, labelled = poses[middle][:3, 0], store.labels3d("ground_truth")
    ids, counts = np.unique(labelled.track_id, return_counts=True)
    cars = labelled.take((labelled.frame == middle) & np.isin(labelled.track_id, ids[counts == n]))
    cars = cars.take(np.isin(np.char.lower(cars.class_labels().astype(str)), ("car", "pickup truck")))
    eye = poses[middle][:3, 3] + [0.0, 0.0, 20.0] - 25.0 * forward
    right = []
    for row in range(len(cars)):
        truth = BoxPose.of_row(cars, row)
        half = 0.5 * np.array(truth.size_lwh_m)
        own = cloud(middle)[np.all(np.abs(truth.local(cloud(middle))) <= half, axis=1)]
        upper = own[own[:, 2] > truth.center_m[2]]
        if len(own) < _FEWEST_POINTS or len(upper) < _FEWEST_UPPER:
            continue
        for seed in (upper[np.argmin(np.linalg.norm(upper - eye, axis=1))], upper[len(upper) // 2]):
            guess = math.atan2(forward[1], forward[0])
            box = found_box(cloud(middle), seed, USUAL_SIZES_M["car"], guess, poses[middle][:2, 3])
            ghost = follow(Ghost("car", middle, {middle: box}), cloud, lambda f: poses[f][:2, 3], n)
            right.append([_is_right(pose, truth) for pose in (box, ghost.poses[middle])])
    at_frame, followed = np.mean(right, axis=0).tolist()
    return {"clicks": {"cars": len(right) / 2, "right": at_frame, "right once followed": followed}}


def _is_right(box: BoxPose, truth: BoxPose) -> bool:
    off_m = float(np.linalg.norm(np.array(box.center_m) - truth.center_m))
    return off_m < _OFF_M and abs(math.remainder(box.yaw_rad - truth.yaw_rad, math.pi)) < _OFF_RAD


def _timed(editor: Editor, draw: Callable[[Editor], Any]) -> list[float]:
    taken = []
    for _ in range(60):
        editor.go((editor.session.frame + 1) % editor.session.n_frames)
        start = time.perf_counter()
        draw(editor)
        taken.append(time.perf_counter() - start)
    return taken


def _spread(seconds: list[float]) -> dict[str, float]:
    ms = 1e3 * np.array(seconds)
    return {"median": float(np.median(ms)), "p95": float(np.percentile(ms, 95)), "max": float(ms.max())}


if __name__ == "__main__":
    main()
