"""How long people wait for labels: a track solved, an edit saved on a drive of 200 frames, a set of 20 million boxes.

    python benchmarks/labels.py [--large] [--frames N] [--json FILE] [--folder DIR]

The large set has 100,000 frames (or N) with 200 tracks in each. ``DIR`` is
where stores are made: the disk that is measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.labels import Labels, Queue, save_version
from fleetlabel.labels import edits as e
from fleetlabel.model.boxes import Boxes3D, Source
from fleetlabel.store import SequenceInfo, SequenceStore
from fleetlabel.trackers import Detections2D, Detections3D, solve_track_2d, solve_track_3d

TRACKS_PER_FRAME = 200
FRAMES_PER_TRACK = 200


def make_store(root: Path, n_frames: int, tracks_per_frame: int) -> SequenceStore:
    """Cuboids of tracks that live for 200 frames each."""
    times = np.arange(n_frames, dtype=np.int64) * 100_000_000
    poses = np.tile([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (n_frames, 1))
    store = SequenceStore.create(root, SequenceInfo("bench", (), times, Trajectory(times, poses)))
    frame = np.repeat(np.arange(n_frames, dtype=np.int32), tracks_per_frame)
    slot = np.tile(np.arange(tracks_per_frame), n_frames)
    n = len(frame)
    rng = np.random.default_rng(0)
    center = np.stack([0.5 * (frame % FRAMES_PER_TRACK), 4.0 * slot, np.full(n, 0.8)], axis=1)
    center += rng.normal(scale=0.1, size=center.shape)
    boxes = Boxes3D(
        class_names=("car",),
        frame=frame,
        timestamp_ns=times[frame],
        class_id=np.zeros(n, np.int16),
        track_id=(frame // FRAMES_PER_TRACK) * tracks_per_frame + slot + 1,
        source=np.full(n, Source.DETECTOR, np.uint8),
        detection=slot.astype(np.int32),
        center_m=center,
        size_lwh_m=np.tile([4.0, 1.8, 1.5], (n, 1)),
        q_wxyz=np.tile([1.0, 0.0, 0.0, 0.0], (n, 1)),
    )
    store.write_labels("auto", {}, boxes, class_names=("car",), provenance={})
    return store


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds, and what came of it."""
    began = time.perf_counter()
    result = work()
    return 1e3 * (time.perf_counter() - began), result


def keyframe(object_id: int, frame: int) -> e.SetKeyframe3D:
    return e.SetKeyframe3D(object_id=object_id, frame=frame, center_m=(10.0, 4.0, 0.8), yaw_rad=0.1)


def measure(root: Path, commits: int) -> dict[str, float]:
    """Milliseconds that the app's user waits for each thing."""
    n_frames = SequenceStore.open(root).info.n_frames
    found: dict[str, float] = {}
    found["open_ms"], labels = timed(lambda: Labels.open(SequenceStore.open(root)))
    found["first_object_ids_ms"], ids = timed(lambda: labels.now.object_ids)
    if n_frames <= FRAMES_PER_TRACK:
        Queue(labels).items(1)  # compiles, or loads what is compiled
        found["queue_first_cpu_ms"] = min(on_processor(lambda: Queue(labels))[0] for _ in range(3))
    middle = n_frames // 2
    tracks = [int(i) for i in ids if i > (middle // FRAMES_PER_TRACK) * TRACKS_PER_FRAME][:commits]
    first = (middle // FRAMES_PER_TRACK) * FRAMES_PER_TRACK
    found["first_frame_shown_ms"], _ = timed(lambda: labels.now.boxes3d(middle, middle + 1))
    waits: dict[str, list[float]] = {"commit": [], "fsync": [], "solve": [], "preview": [], "undo": []}
    for number in range(commits):
        edit = keyframe(tracks[number % len(tracks)], first + (number * 7) % min(FRAMES_PER_TRACK, n_frames))
        preview, _ = timed(lambda edit=edit: labels.now.after([edit]).boxes(edit.object_id))  # type: ignore[misc]
        commit, told = timed(lambda edit=edit: labels.commit([edit], author="bench"))  # type: ignore[misc]
        solve, _ = timed(lambda edit=edit: labels.now.boxes(edit.object_id))  # type: ignore[misc]
        waits["preview"].append(preview)
        waits["commit"].append(commit)
        waits["fsync"].append(1e3 * told.fsync_s)
        waits["solve"].append(solve)
    found["frame_shown_ms"], _ = timed(lambda: labels.now.boxes3d(middle, middle + 1))
    for _ in range(3):
        undo, _ = timed(lambda: labels.undo("bench"))
        waits["undo"].append(undo)
    for name, values in waits.items():
        found[f"{name}_median_ms"] = statistics.median(values)
        found[f"{name}_worst_ms"] = max(values)
    if n_frames <= FRAMES_PER_TRACK:
        found["queue_after_edit_cpu_ms"] = queue_after_edit(labels, tracks[0])
    found["save_version_ms"], version = timed(lambda: save_version(labels))
    found["reopen_ms"], _ = timed(lambda: Labels.open(SequenceStore.open(root)))
    found["version_frame_read_ms"], _ = timed(lambda: labels.store.labels3d(version.name, middle, middle + 1))
    return {name: round(value, 2) for name, value in found.items()}


def queue_after_edit(labels: Labels, track: int) -> float:
    """Milliseconds of processor time until the queue says where to look next."""
    queue, waits = Queue(labels), []
    for frame in range(10):
        labels.commit([e.Accept(object_id=track, start=frame, stop=frame + 1)], author="bench")
        labels.now.boxes(track)
        waits.append(on_processor(lambda: queue.items(1))[0])
    return statistics.median(waits)


def solver_alone(n_frames: int = FRAMES_PER_TRACK) -> dict[str, float]:
    """Milliseconds of processor time for one track with three keyframes, without reading or projecting anything."""
    rng = np.random.default_rng(0)
    times, frame = np.arange(n_frames, dtype=np.int64) * 100_000_000, np.arange(n_frames, dtype=np.int32)
    kind, score = np.zeros(n_frames, np.int16), rng.uniform(0.6, 0.99, n_frames)
    keys = np.array([n_frames // 10, n_frames // 2, n_frames - 5])
    pose = np.zeros((n_frames, 4))
    pose[:, 0] = 0.8 * frame
    center = pose[:, :3] + rng.normal(scale=0.1, size=(n_frames, 3))
    size = np.tile([4.0, 1.8, 1.5], (n_frames, 1))
    solid = Detections3D(frame, center, size, rng.normal(scale=0.02, size=n_frames), score, kind)
    edges = np.array([100, 100, 160, 140]) + np.cumsum(rng.normal(scale=0.5, size=(n_frames, 4)), axis=0)
    flat = Detections2D(frame, edges, score, kind)
    work: dict[str, Callable[[], Any]] = {
        "solve_3d_cpu_ms": lambda: solve_track_3d(times, solid, keys, pose[keys]),
        "solve_2d_cpu_ms": lambda: solve_track_2d(times, flat, keys, edges[keys], picture_px=(1242, 375)),
    }
    found = {}
    for name, solve in work.items():
        solve()  # compiles, or loads what is compiled
        found[name] = round(statistics.median(on_processor(solve)[0] for _ in range(20)), 2)
    return found


def on_processor(work: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds of processor time, and what came of it."""
    began = time.process_time()
    result = work()
    return 1e3 * (time.process_time() - began), result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--large", action="store_true", help="the set of 20 million boxes as well")
    parser.add_argument("--frames", type=int, default=100_000, help="of the large set")
    parser.add_argument("--folder", type=Path, help="where stores are made (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    arguments = parser.parse_args()
    sizes = {"drive_200_frames": (200, 30), "200_frames_200_tracks": (200, TRACKS_PER_FRAME)}
    if arguments.large:
        sizes[f"{arguments.frames}_frames_200_tracks"] = (arguments.frames, TRACKS_PER_FRAME)
    report: dict[str, dict[str, float]] = {"track_200_frames": solver_alone()}
    for what, value in report["track_200_frames"].items():
        print(f"{'track_200_frames':26} {what:26} {value:10.2f}")
    for name, (n_frames, tracks) in sizes.items():
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            make_ms, store = timed(lambda: make_store(Path(folder) / "a.zarr", n_frames, tracks))  # noqa: B023
            report[name] = {"made_s": round(make_ms / 1e3, 2), **measure(store.root, commits=30)}
        for what, value in report[name].items():
            print(f"{name:26} {what:26} {value:10.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
