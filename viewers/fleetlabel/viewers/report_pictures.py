"""Pictures for a report: a few moments of a drive in all cameras, and a strip of views from above."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import simplejpeg

from fleetlabel.geometry.arrays import F64, I64, U8
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SampleStatus, SequenceStore
from fleetlabel.viewers.camera_tile import draw_camera
from fleetlabel.viewers.ground_tile import draw_ground
from fleetlabel.viewers.layout import camera_order
from fleetlabel.viewers.palette import ColorBy
from fleetlabel.viewers.scene import CameraView, FrameScene, SceneReader

# All pictures together stay below some four megabytes, whatever the number of cameras and what they saw.
_PICTURES, _MOMENTS, _STRIP = 36, 4, 6
_CAMERA_BYTES, _GROUND_BYTES = 3_200_000, 1_000_000
_QUALITIES = (82, 70, 55, 40, 25)
_TILE_PX, _TILE_SCALE = 880, 1.6
_GROUND_PX, _GROUND_SCALE = 720, 1.25
_RADIUS_M = 40.0


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a page.

    Attributes:
        name: what it shows.
        src: data URI of a JPEG.
        width, height: in pixels.
    """

    name: str
    src: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Moment:
    """Pictures of one frame; None is a place left empty on a grid of three columns."""

    frame: int
    elapsed_s: float
    pictures: tuple[Picture | None, ...]


def camera_moments(store: SequenceStore, version: str) -> Iterator[Moment]:
    """All cameras at a few frames spread over the drive, in each part of it where most is labelled."""
    cameras = [camera.name for camera in store.info.of_kind(SensorKind.CAMERA)]
    if not cameras:
        return
    reader = SceneReader(store, [version], with_points=False)
    boxes = [store.labels2d(version, camera) for camera in cameras]
    labelled = sum(np.diff(block.frame_ptr(store.info.n_frames)) for block in boxes)
    usable = _usable(store, cameras)
    weight = usable * (1.0 + np.max(labelled, initial=0)) + labelled
    frames = spread(weight, max(min(_MOMENTS, _PICTURES // len(cameras)), 1)).tolist()
    room_bytes = _CAMERA_BYTES // (len(frames) * len(cameras))
    for frame in frames:
        scene = reader.at(frame)
        yield Moment(frame, scene.elapsed_s, tuple(_camera_pictures(scene, room_bytes)))


def ground_strip(store: SequenceStore, version: str, truth: str | None) -> Iterator[Moment]:
    """The surroundings from above at even steps through the drive, the truth dashed where there is one."""
    versions = [version] if truth is None else [version, truth]
    reader = SceneReader(store, versions, cameras=[])
    lidars = [lidar.name for lidar in store.info.of_kind(SensorKind.LIDAR)]
    for frame in spread(_usable(store, lidars), _STRIP).tolist():
        scene = reader.at(frame)
        if scene.ground is not None:
            tile = np.empty((_GROUND_PX, _GROUND_PX, 3), dtype=np.uint8)
            draw_ground(tile, scene.ground, ColorBy.CLASS, _RADIUS_M, _GROUND_SCALE)
            picture = _picture(f"from above, +{scene.elapsed_s:.1f} s", tile, _GROUND_BYTES // _STRIP)
            yield Moment(frame, scene.elapsed_s, (picture,))


def spread(weight: F64, count: int) -> I64:
    """Frames, ascending: the heaviest of each of ``count`` equal parts of the drive, towards the middle of its part.

    Args:
        weight: (F,) how much a frame has to show. Parts in which nothing has any weight are left out, unless all are.
    """
    chosen = []
    for part in np.array_split(np.arange(len(weight)), min(count, len(weight))):
        off_middle = np.abs(part - part.mean())
        best = part[np.lexsort((off_middle, -weight[part]))[0]]
        if weight[best] > 0 or not weight.any():
            chosen.append(best)
    return np.array(chosen, dtype=np.int64)


def _usable(store: SequenceStore, sensors: list[str]) -> F64:
    """How many of the sensors (F,) have data that can be used."""
    usable = np.zeros(store.info.n_frames)
    for sensor in sensors:
        status = store.table(f"sensors/{sensor}").read(columns=("status",)).samples["status"]
        usable += status == SampleStatus.OK
    return usable


def _camera_pictures(scene: FrameScene, room_bytes: int) -> Iterator[Picture | None]:
    """Pictures as they lie around the vehicle, on three columns."""
    for row in camera_order([view.azimuth_rad for view in scene.cameras], min(len(scene.cameras), 3)):
        yield None if row is None else _camera_picture(scene.cameras[row], room_bytes)


def _camera_picture(view: CameraView, room_bytes: int) -> Picture:
    height = round(_TILE_PX * view.camera.height_px / view.camera.width_px)
    tile = np.empty((height, _TILE_PX, 3), dtype=np.uint8)
    draw_camera(tile, replace(view, overlays=view.overlays[:1]), ColorBy.CLASS, _TILE_SCALE)
    return _picture(view.name, tile, room_bytes)


def _picture(name: str, tile: U8, room_bytes: int) -> Picture:
    """The tile as JPEG, as good as fits."""
    for quality in _QUALITIES:
        jpeg = simplejpeg.encode_jpeg(tile, quality=quality, colorspace="BGR", colorsubsampling="420")
        if len(jpeg) <= room_bytes:
            break
    src = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
    return Picture(name, src, tile.shape[1], tile.shape[0])
