"""The selected object's points of all frames along its own axes: errors of size and heading stand out.

Points around the object's course are cut out of each frame once, by a thread; new boxes only turn them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from fleetlabel.geometry.arrays import F32, F64
from fleetlabel.model.boxes import Boxes3D
from fleetlabel.viewers.editor.frames import FrameCache, Points
from fleetlabel.viewers.editor.pose import BoxPose

_MARGIN_M = 2.5  # around the box that points are kept of
_MOST_POINTS = 4000  # per frame
_MOST_FRAMES = 400


class ObjectPoints:
    """Points near one object after the other.

    Args:
        arrived: called, on any thread, when there is more to show.
    """

    def __init__(self, cache: FrameCache, arrived: Callable[[], None]) -> None:
        self._cache, self._arrived = cache, arrived
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="object")
        self._lock = threading.Lock()
        self._object_id: int | None = None
        self._cut: dict[int, F32] = {}
        self._job: Future[None] | None = None

    def follow(self, object_id: int | None, cuboids: Boxes3D, near_frame: int) -> None:
        """Turns to an object; frames near the one on the screen come first."""
        same = object_id == self._object_id
        frames = cuboids.frame[np.argsort(np.abs(cuboids.frame - near_frame), kind="stable")][:_MOST_FRAMES]
        if same and all(frame in self._cut for frame in frames.tolist()):
            return
        if self._job is not None:
            self._job.cancel()
        with self._lock:
            if not same:
                self._object_id, self._cut = object_id, {}
        if object_id is not None and len(frames):
            boxes = {int(cuboids.frame[row]): BoxPose.of_row(cuboids, row) for row in range(len(cuboids))}
            self._job = self._pool.submit(
                self._cut_all, object_id, [boxes[f] for f in frames.tolist()], frames
            )

    def world(self, frame: int) -> F32:
        """(P, 3) points in the world near the object at a frame; none before they have been cut."""
        return self._cut.get(frame, np.empty((0, 3), dtype=np.float32))

    def frames(self) -> list[int]:
        """Frames that have been cut."""
        return sorted(self._cut)

    def wait(self) -> None:
        """Until there is no more to come."""
        if self._job is not None and not self._job.cancelled():
            self._job.result()

    def close(self) -> None:
        """Ends the thread."""
        self._object_id = None
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _cut_all(self, object_id: int, boxes: list[BoxPose], frames: np.ndarray) -> None:
        for number, (frame, box) in enumerate(zip(frames.tolist(), boxes, strict=True)):
            if self._object_id != object_id:
                return
            if frame in self._cut:
                continue
            points = near_box(self._cache.cloud(frame), box)
            with self._lock:
                if self._object_id != object_id:
                    return
                self._cut[frame] = points
            if number % 8 == 7:
                self._arrived()
        self._arrived()


def near_box(points: Points, box: BoxPose) -> F32:
    """(P, 3) points of a frame within 2.5 m of a box, thinned if there are very many."""
    reach = 0.5 * float(np.hypot(*box.size_lwh_m[:2])) + _MARGIN_M
    off = points.world_m - np.array(box.center_m)
    near = points.world_m[
        (np.abs(off[:, 0]) <= reach)
        & (np.abs(off[:, 1]) <= reach)
        & (np.abs(off[:, 2]) <= box.size_lwh_m[2] / 2 + _MARGIN_M)
    ]
    thinned: F32 = near[:: max(-(-len(near) // _MOST_POINTS), 1)].astype(np.float32)
    return thinned


def most_points_frame(points: ObjectPoints, cuboids: Boxes3D) -> int | None:
    """Frame at which most points lie in the object's box: as counted, or of those that have been cut."""
    if not len(cuboids):
        return None
    counts = cuboids.n_points.astype(np.int64)
    if (counts < 0).all():
        counts = np.array([_inside(points.world(int(f)), cuboids, r) for r, f in enumerate(cuboids.frame)])
    return int(cuboids.frame[int(np.argmax(counts))])


def _inside(points_m: F32, cuboids: Boxes3D, row: int) -> int:
    box = BoxPose.of_row(cuboids, row)
    local: F64 = box.local(points_m.astype(np.float64))
    return int(np.all(np.abs(local) <= 0.5 * np.array(box.size_lwh_m), axis=1).sum())
