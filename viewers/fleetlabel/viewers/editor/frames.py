"""Pictures and points by frame, kept for a while and fetched ahead by threads, so that a step waits for nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

import cv2
import numpy as np

from fleetlabel.geometry.arrays import F32, F64, U8
from fleetlabel.model.errors import FleetLabelError
from fleetlabel.viewers.camera_tile import decode_at_least
from fleetlabel.viewers.sensors import Picture, SensorFrames

_PICTURES_KEPT, _CLOUDS_KEPT = 40, 80
AHEAD, BEHIND = 6, 2  # frames that are fetched around the one on the screen
_THREADS = 2

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

    def forget(self) -> None:
        """Gives everything up."""
        with self._lock:
            for future in self._futures.values():
                future.cancel()
            self._futures.clear()


class FrameCache:
    """Frames of a sequence; see the module.

    Args:
        tile_px: width and height of each camera's small picture.
    """

    def __init__(self, sensors: SensorFrames, tile_px: Mapping[str, tuple[int, int]]) -> None:
        self.sensors = sensors
        self._tile_px = dict(tile_px)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="frames")
        self._pictures = _Kept(self._pool, self._load_pictures, _PICTURES_KEPT)
        self._clouds = _Kept(self._pool, self._load_cloud, _CLOUDS_KEPT)

    def pictures(self, frame: int) -> dict[str, Shown]:
        """Pictures of all cameras."""
        return self._pictures.ask(frame).result()

    def cloud(self, frame: int) -> Points:
        """Points of a frame."""
        return self._clouds.ask(frame).result()

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
        tile = np.zeros((height, width, 3), dtype=np.uint8)
        if picture.problem:
            return Shown(picture, tile, picture.problem)
        try:
            decoded = decode_at_least(picture.jpeg, width, height)
        except ValueError as error:
            return Shown(picture, tile, f"picture cannot be decoded: {error}")
        return Shown(
            picture, np.asarray(cv2.resize(decoded, (width, height), interpolation=cv2.INTER_AREA)), ""
        )

    def _load_cloud(self, frame: int) -> Points:
        try:
            cloud = self.sensors.cloud(frame)
        except FleetLabelError as error:
            return Points(np.empty((0, 3)), np.empty(0, dtype=np.float32), str(error))
        return Points(cloud.world_m, cloud.intensity, "")


def around(frame: int, n_frames: int, direction: int) -> list[int]:
    """Frames to fetch around one, the way that is gone first."""
    ahead = [frame + direction * k for k in range(1, AHEAD + 1)]
    behind = [frame - direction * k for k in range(1, BEHIND + 1)]
    return [f for f in (frame, *ahead, *behind) if 0 <= f < n_frames]
