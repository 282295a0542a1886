"""Pictures and points by frame, kept for a while and fetched ahead by threads, so that a step waits for nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedTooLong
from dataclasses import dataclass
from typing import Generic, TypeVar

import cv2
import numpy as np

from fleetlabel.geometry.arrays import F32, F64, U8
from fleetlabel.model.errors import FleetLabelError
from fleetlabel.viewers.camera_tile import decode_at_least
from fleetlabel.viewers.sensors import Picture, Sensors

_PICTURES_KEPT, _CLOUDS_KEPT = 40, 80
AHEAD, BEHIND = 6, 2  # frames that are fetched around the one on the screen
_THREADS = 2
_COMING = "being fetched"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One camera's picture, decoded for the small row.

    Attributes:
        picture: as it was recorded.
        tile: (h, w, 3) BGR.
        problem: why there is nothing to see, in words.
    """

    picture: Picture
    tile: U8
    problem: str


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Points of one frame.

    Attributes:
        world_m: (P, 3) float64.
        intensity: (P,) float32.
        problem: why there are none, in words.
    """

    world_m: F64
    intensity: F32
    problem: str


class _Kept(Generic[T]):
    """Results by frame, the least recently used given up first; asked for by several threads."""

    def __init__(self, pool: ThreadPoolExecutor, load: Callable[[int], T], most: int) -> None:
        self._pool, self._load, self._most = pool, load, most
        self._futures: OrderedDict[int, Future[T]] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, frame: int) -> Future[T]:
        """The result, once it is there."""
        with self._lock:
            future = self._futures.get(frame)
            if future is None or future.cancelled():
                future = self._pool.submit(self._load, frame)
                self._futures[frame] = future
            self._futures.move_to_end(frame)
            while len(self._futures) > self._most:
                _, old = self._futures.popitem(last=False)
                old.cancel()
            return future

    def there(self, frame: int) -> bool:
        """Whether asking waits for nothing."""
        future = self._futures.get(frame)
        return future is not None and future.done()

    def forget(self, which: Callable[[T], bool] = lambda _: True) -> None:
        """Gives results up; by default all of them, and those that are not there yet."""
        with self._lock:
            for frame, future in list(self._futures.items()):
                if not future.done():
                    future.cancel()
                elif not future.cancelled() and future.exception() is None and not which(future.result()):
                    continue
                del self._futures[frame]


class FrameCache:
    """Frames of a sequence; see the module.

    Args:
        tile_px: width and height of each camera's small picture.
    """

    def __init__(self, sensors: Sensors, tile_px: Mapping[str, tuple[int, int]]) -> None:
        self.sensors = sensors
        self._tile_px = dict(tile_px)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="frames")
        self._pictures = _Kept(self._pool, self._load_pictures, _PICTURES_KEPT)
        self._clouds = _Kept(self._pool, self._load_cloud, _CLOUDS_KEPT)
        self._late = threading.Event()

    def pictures(self, frame: int) -> dict[str, Shown]:
        """Pictures of all cameras; where they are too long in coming, their places until then."""
        return self._waited(self._pictures.ask(frame)) or {
            name: Shown(self.sensors.place(name, frame), self._nothing(name), _COMING)
            for name in self.sensors.camera_names
        }

    def cloud(self, frame: int) -> Points:
        """Points of a frame; where they are too long in coming, none until then."""
        return self._waited(self._clouds.ask(frame)) or _no_points(_COMING)

    def _waited(self, coming: Future[T]) -> T | None:
        """A result, None if it is late: then :meth:`take_late` tells when it is there."""
        try:
            return coming.result(self.sensors.patience_s)
        except WaitedTooLong:
            coming.add_done_callback(lambda _: self._late.set())
            return None

    def take_late(self) -> bool:
        """Whether something has arrived since the last call that was not waited for."""
        late = self._late.is_set()
        self._late.clear()
        return late

    def forget_problems(self) -> None:
        """Gives up what could not be had, so that it is fetched again."""
        self._pictures.forget(lambda shown: any(each.problem for each in shown.values()))
        self._clouds.forget(lambda points: bool(points.problem))

    def cloud_if_there(self, frame: int) -> Points | None:
        """Points of a frame, if they have been fetched; else they will be."""
        future = self._clouds.ask(frame)
        return future.result() if future.done() else None

    def there(self, frame: int) -> bool:
        """Whether a frame can be shown at once."""
        return self._pictures.there(frame) and self._clouds.there(frame)

    def fetch(self, frames: Iterable[int]) -> None:
        """Fetches frames ahead, in this order."""
        for frame in frames:
            self._clouds.ask(frame)
            self._pictures.ask(frame)

    def resize(self, tile_px: Mapping[str, tuple[int, int]]) -> None:
        """Takes other sizes of small pictures."""
        if dict(tile_px) != self._tile_px:
            self._tile_px = dict(tile_px)
            self._pictures.forget()

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _load_pictures(self, frame: int) -> dict[str, Shown]:
        return {name: self._load_picture(name, frame) for name in self.sensors.camera_names}

    def _load_picture(self, name: str, frame: int) -> Shown:
        width, height = self._tile_px[name]
        picture = self.sensors.picture(name, frame)
        if picture.problem:
            return Shown(picture, self._nothing(name), picture.problem)
        try:
            decoded = decode_at_least(picture.jpeg, width, height)
        except ValueError as error:
            return Shown(picture, self._nothing(name), f"picture cannot be decoded: {error}")
        return Shown(
            picture, np.asarray(cv2.resize(decoded, (width, height), interpolation=cv2.INTER_AREA)), ""
        )

    def _load_cloud(self, frame: int) -> Points:
        try:
            cloud = self.sensors.cloud(frame)
        except FleetLabelError as error:
            return _no_points(str(error))
        return Points(cloud.world_m, cloud.intensity, "")

    def _nothing(self, name: str) -> U8:
        width, height = self._tile_px[name]
        return np.zeros((height, width, 3), dtype=np.uint8)


def _no_points(problem: str) -> Points:
    return Points(np.empty((0, 3)), np.empty(0, dtype=np.float32), problem)


def around(frame: int, n_frames: int, direction: int) -> list[int]:
    """Frames to fetch around one, the way that is gone first."""
    ahead = [frame + direction * k for k in range(1, AHEAD + 1)]
    behind = [frame - direction * k for k in range(1, BEHIND + 1)]
    return [f for f in (frame, *ahead, *behind) if 0 <= f < n_frames]
