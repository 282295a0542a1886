"""What is to be seen of one frame, as plain data: pictures with boxes and outlines, the ground from above.

No pixel is drawn here and no picture decoded, so that pictures, video and an interactive view show the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry import boxes as cuboid_geometry
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F32, F64, I32
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.cameras import CameraModel
from fleetlabel.model.errors import UsageError
from fleetlabel.model.ontology import CLASSES
from fleetlabel.store import SequenceStore
from fleetlabel.viewers.layers import LabelLayer
from fleetlabel.viewers.outlines import Outlines, outline_cuboids
from fleetlabel.viewers.palette import shown_class
from fleetlabel.viewers.sensors import SensorFrames

# How far back an object's path is shown.
TRAIL_NS = 3_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class CameraOverlay:
    """One label version in one picture.

    Attributes:
        boxes: the picture's 2D boxes.
        cuboids: the frame's cuboids, row by row those of ``outlines``.
        outlines: their edges as seen at the time of exposure.
    """

    boxes: Boxes2D
    cuboids: Boxes3D
    outlines: Outlines


@dataclass(frozen=True, slots=True, eq=False)
class CameraView:
    """One camera at one frame.

    Attributes:
        name: of the camera.
        camera: intrinsics; 2D boxes and outlines are in their pixels.
        azimuth_rad: direction of the optical axis seen from above, 0 forward, positive to the left.
        timestamp_ns: time of exposure.
        jpeg: the picture as it was recorded; empty if there is none.
        problem: why there is no picture, in words; empty if there is one.
        overlays: one per label version, the one in question first.
    """

    name: str
    camera: CameraModel
    azimuth_rad: float
    timestamp_ns: int
    jpeg: bytes
    problem: str
    overlays: tuple[CameraOverlay, ...]


@dataclass(frozen=True, slots=True, eq=False)
class GroundOverlay:
    """One label version seen from above, in the ego frame at the frame's time.

    Attributes:
        cuboids: the frame's cuboids, each as it was labelled: at its own time, like the points.
        footprint_m: (N, 4, 2) x y of the corners: front left, rear left, rear right, front right.
        velocity_mps: (N, 2) over ground, along the ego axes.
        trail_m: (S, 2, 2) pieces of the paths of the last seconds.
        trail_cuboid: (S,) row of the cuboid that each piece belongs to.
    """

    cuboids: Boxes3D
    footprint_m: F64
    velocity_mps: F64
    trail_m: F64
    trail_cuboid: I32


@dataclass(frozen=True, slots=True, eq=False)
class GroundView:
    """The surroundings from above, in the ego frame at the frame's time.

    Attributes:
        points_m: (P, 3) float32 of all lidars, finite.
        overlays: one per label version, the one in question first.
    """

    points_m: F32
    overlays: tuple[GroundOverlay, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FrameScene:
    """All that is to be seen of one frame.

    Attributes:
        sequence: its name.
        frame, n_frames: which of how many.
        timestamp_ns: reference time of the frame.
        elapsed_s: since the first frame.
        versions: label versions shown, the one in question first.
        class_names: classes that occur anywhere in the version in question, in the ontology's order.
        cameras: in the sequence's order.
        ground: None if there is nothing but the ego vehicle to show.
    """

    sequence: str
    frame: int
    n_frames: int
    timestamp_ns: int
    elapsed_s: float
    versions: tuple[str, ...]
    class_names: tuple[str, ...]
    cameras: tuple[CameraView, ...]
    ground: GroundView | None


class SceneReader:
    """Frames of a store as scenes. Labels are in memory; pictures and points are read frame by frame.

    Attributes:
        n_frames: of the sequence.
    """

    def __init__(
        self,
        store: SequenceStore,
        versions: Sequence[str],
        cameras: Sequence[str] | None = None,
        with_points: bool = True,
    ) -> None:
        """Opens the sensors and loads the labels.

        Args:
            versions: label versions to show, the one in question first.
            cameras: names of the cameras to show; all by default.
            with_points: whether scenes hold lidar points.

        Raises:
            UsageError: there is no such camera.
            StoreNotFoundError: there is no such label version.
        """
        self._info = store.info
        self._sensors = SensorFrames(store, cameras, with_points)
        names = self._sensors.camera_names
        self._layers = [LabelLayer.load(store, version, names) for version in versions]
        used = {shown_class(name) for layer in self._layers[:1] for name in layer.class_names()}
        self._class_names = (*(n for n in CLASSES if n in used), *sorted(used - set(CLASSES)))
        self.n_frames = store.info.n_frames

    def at(self, frame: int) -> FrameScene:
        """The scene of one frame.

        Raises:
            UsageError: there is no such frame.
            SourceError: the ego vehicle's pose is not known when a sensor saw the frame.
        """
        if not 0 <= frame < self.n_frames:
            raise UsageError(f"{self._info.name} has frames 0..{self.n_frames - 1}, no frame {frame}")
        times = self._info.frame_timestamp_ns
        cuboids = [layer.cuboids_at(frame) for layer in self._layers]
        return FrameScene(
            sequence=self._info.name,
            frame=frame,
            n_frames=self.n_frames,
            timestamp_ns=int(times[frame]),
            elapsed_s=float((times[frame] - times[0]) * 1e-9),
            versions=tuple(layer.version for layer in self._layers),
            class_names=self._class_names,
            cameras=tuple(self._camera_view(name, frame, cuboids) for name in self._sensors.camera_names),
            ground=self._ground_view(frame, cuboids),
        )

    def _camera_view(self, name: str, frame: int, cuboids: Sequence[Boxes3D]) -> CameraView:
        picture = self._sensors.picture(name, frame)
        camera_from_world = se3.invert(picture.world_from_camera)
        overlays = []
        for layer, boxes in zip(self._layers, cuboids, strict=True):
            center = layer.centers_at(frame, picture.timestamp_ns)
            corners = cuboid_geometry.corners(center, boxes.size_lwh_m, boxes.q_wxyz)
            outlines = outline_cuboids(corners, camera_from_world, picture.camera)
            overlays.append(CameraOverlay(layer.boxes2d_at(name, frame), boxes, outlines))
        return CameraView(
            name=name,
            camera=picture.camera,
            azimuth_rad=picture.azimuth_rad,
            timestamp_ns=picture.timestamp_ns,
            jpeg=picture.jpeg,
            problem=picture.problem,
            overlays=tuple(overlays),
        )

    def _ground_view(self, frame: int, cuboids: Sequence[Boxes3D]) -> GroundView | None:
        if not self._sensors.has_lidar and not any(len(layer.cuboids) for layer in self._layers):
            return None
        times = self._info.frame_timestamp_ns
        ego_from_world = se3.invert(self._sensors.world_from_ego("frame", frame, int(times[frame])))
        first = int(np.searchsorted(times, times[frame] - TRAIL_NS))
        overlays = []
        for layer, boxes in zip(self._layers, cuboids, strict=True):
            bottom = boxes.corners_m()[:, :4].reshape(-1, 3)
            trail, trail_cuboid = layer.trails_at(frame, first)
            overlays.append(
                GroundOverlay(
                    cuboids=boxes,
                    footprint_m=se3.apply(ego_from_world, bottom)[:, :2].reshape(-1, 4, 2),
                    velocity_mps=(layer.velocities_at(frame) @ ego_from_world[:3, :3].T)[:, :2],
                    trail_m=se3.apply(ego_from_world, trail.reshape(-1, 3))[:, :2].reshape(-1, 2, 2),
                    trail_cuboid=trail_cuboid,
                )
            )
        points = se3.apply(ego_from_world, self._sensors.cloud(frame).world_m).astype(np.float32)
        return GroundView(points, tuple(overlays))
