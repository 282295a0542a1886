"""What is on the screen: the labels of the frame as hands have them, asked for by panels and by commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fleetlabel.geometry.arrays import F64, Bool
from fleetlabel.labels import LabelObject
from fleetlabel.model.boxes import Boxes3D
from fleetlabel.viewers.editor.corrections import guessed_pose, picture_box_at, pose_at
from fleetlabel.viewers.editor.fitting import ground_height
from fleetlabel.viewers.editor.frames import FrameCache
from fleetlabel.viewers.editor.gizmo2d import Xyxy
from fleetlabel.viewers.editor.object_list import ObjectList, list_objects, short_id
from fleetlabel.viewers.editor.object_strip import ObjectPoints
from fleetlabel.viewers.editor.panes import Pane, Side
from fleetlabel.viewers.editor.pose import BoxPose
from fleetlabel.viewers.editor.session import Session
from fleetlabel.viewers.editor.source import Source
from fleetlabel.viewers.editor.timeline import Timeline, timeline_of
from fleetlabel.viewers.editor.window_layout import WindowLayout, arrange_window
from fleetlabel.viewers.palette import shown_class

# What 1 to 9 stand for: the same on every drive, for the fingers' sake.
DIGIT_CLASSES = (
    *("car", "truck", "bus", "pedestrian", "bicycle", "motorcycle"),
    *("traffic_light", "traffic_sign", "trailer"),
)


class Screen:
    """A sequence as it is shown; nothing here changes labels.

    Attributes:
        source: of labels and sensors.
        session: what is looked at and in the hand.
        cache: pictures and points by frame.
        points: near the selected object, by frame.
        layout: of the window.
        cameras: from left to right.
        digit_classes: what 1 to 9 stand for.
    """

    def __init__(self, source: Source, width: int, height: int, arrived: Callable[[], None]) -> None:
        self.source = source
        self.session = Session(source.info.n_frames)
        names = source.sensors.camera_names
        self.cameras = tuple(sorted(names, key=lambda name: -source.sensors.azimuth(name)))
        models = [source.info.sensor(name).camera for name in self.cameras]
        self._aspects = [m.width_px / m.height_px for m in models if m is not None]
        self.layout: WindowLayout = arrange_window(width, height, self.cameras, self._aspects)
        self.cache = FrameCache(source.sensors, self._tile_sizes())
        self.points = ObjectPoints(self.cache, arrived)
        self.digit_classes = DIGIT_CLASSES
        self._pane_frame: BoxPose | None = None

    @property
    def item(self) -> LabelObject | None:
        """The selected object."""
        return None if self.session.selected is None else self.source.now.state.get(self.session.selected)

    @property
    def world_from_ego(self) -> F64:
        """(4, 4) at the frame's time."""
        frame = self.session.frame
        return self.source.sensors.world_from_ego(
            "frame", frame, int(self.source.info.frame_timestamp_ns[frame])
        )

    def ego_xy(self, frame: int) -> F64:
        """(2,) where the ego vehicle is."""
        pose: F64 = self.source.sensors.world_from_ego(
            "frame", frame, int(self.source.info.frame_timestamp_ns[frame])
        )
        return pose[:2, 3]

    @property
    def ground_m(self) -> float:
        """Height of the ground around the ego vehicle."""
        world = self.cache.cloud(self.session.frame).world_m
        return ground_height(world, self.ego_xy(self.session.frame), float(self.world_from_ego[2, 3]))

    def cuboids(self) -> Boxes3D:
        """Cuboids at the frame that are to be shown, but for the selected one."""
        return self._without_hidden(self.source.cuboids_at(self.session.frame, self.session.frame + 1))

    def cuboids_around(self) -> tuple[Boxes3D, Bool]:
        """The same with the frames before and after, and which of them are of this frame."""
        frame = self.session.frame
        boxes = self.source.cuboids_at(max(frame - 1, 0), min(frame + 2, self.session.n_frames))
        boxes = self._without_hidden(boxes)
        return boxes, boxes.frame == frame

    def _without_hidden(self, boxes: Boxes3D) -> Boxes3D:
        s = self.session
        keep: Bool = ~boxes.ignore & np.isfinite(boxes.center_m).all(axis=1)
        if s.isolated and s.selected is not None:
            keep &= False
        away = [*s.hidden] + ([s.selected] if s.selected is not None else [])
        if away:
            keep &= ~np.isin(boxes.track_id, np.array(away, dtype=np.int64))
        return boxes.take(keep)

    def committed_pose(self) -> BoxPose | None:
        """The selected object's box as the labels have it."""
        s = self.session
        if s.selected is None or self.source.now.state.get(s.selected) is None:
            return None
        return pose_at(self.source.boxes(s.selected).cuboids, s.frame)

    def guess(self) -> BoxPose | None:
        """Where the selected object would be, if it has no box at this frame."""
        s = self.session
        if s.selected is None or self.item is None or self.committed_pose() is not None:
            return None
        cuboids = self.source.boxes(s.selected).cuboids
        points = self.cache.cloud(s.frame).world_m
        return guessed_pose(cuboids, s.frame, points, self.ego_xy(s.frame))

    @property
    def is_guess(self) -> bool:
        """Whether the box on the screen is where the object would be, since it has none at this frame."""
        s = self.session
        return s.ghost is None and s.adjusted is None and self.committed_pose() is None

    def at_exposure(self, box: BoxPose, exposed_ns: int) -> BoxPose:
        """The selected object's box moved along its way to the time of a picture."""
        s = self.session
        seconds = (exposed_ns - int(self.source.info.frame_timestamp_ns[s.frame])) * 1e-9
        return replace(box, center_m=tuple((np.array(box.center_m) + seconds * self._velocity()).tolist()))

    def _velocity(self) -> F64:
        """(3,) of the selected object, or of the ghost, at the frame."""
        s = self.session
        if s.ghost is not None:
            frames = sorted(s.ghost.poses)
            centers = np.array([s.ghost.poses[frame].center_m for frame in frames])
        elif s.selected is not None and self.item is not None:
            cuboids = self.source.boxes(s.selected).cuboids
            frames, centers = cuboids.frame.tolist(), cuboids.center_m
        else:
            return np.zeros(3)
        if len(frames) < 2:
            return np.zeros(3)
        place = int(np.clip(np.searchsorted(frames, s.frame), 1, len(frames) - 1))
        low, high = max(place - 1, 0), min(place + 1, len(frames) - 1)
        times = self.source.info.frame_timestamp_ns
        seconds = float(times[frames[high]] - times[frames[low]]) * 1e-9
        velocity: F64 = (centers[high] - centers[low]) / seconds
        return velocity

    def shown_pose(self) -> BoxPose | None:
        """The box that hands are on: of a ghost, as it is dragged, as it is, or as it would be."""
        s = self.session
        if s.adjusted is not None:
            return s.adjusted
        if s.ghost is not None:
            return s.ghost.poses.get(s.frame)
        return self.committed_pose() or self.guess()

    def picture_box(self, camera: str) -> Xyxy | None:
        """The selected object's 2D box in a picture, as it is dragged if it is."""
        s = self.session
        if s.adjusted2d is not None and camera == s.enlarged:
            return s.adjusted2d
        if s.selected is None or self.item is None:
            return None
        return picture_box_at(self.source, s.selected, camera, s.frame)

    def panes(self) -> dict[Side, Pane]:
        """Top, side and rear view of the selected object, in pixels of their panel; none without a box.

        Their frame stays while a hand is on the box.
        """
        s = self.session
        frame = None
        if s.ghost is None:
            frame = self.committed_pose() or (self._pane_frame if s.adjusted is not None else self.guess())
        elif s.frame in s.ghost.poses:
            frame = self._pane_frame if s.adjusted is not None else s.ghost.poses[s.frame]
        if frame is None:
            return {}
        self._pane_frame = frame
        return {
            side: Pane(side, frame, place.x, place.y, place.width, place.height, s.pane_zoom)
            for side, place in zip(Side, self.layout.panes, strict=True)
        }

    def timeline(self) -> Timeline:
        """What the timeline shows."""
        return timeline_of(self.source, self.session.selected, self.session.changed)

    def listed(self) -> ObjectList:
        """What the list shows."""
        return list_objects(self.source.tracks(), self.session.frame, self.session.wanted)

    def item_keyframes(self, camera: str) -> list[int]:
        """Frames of the selected object's keyframes in one view."""
        item = self.item
        return [] if item is None else item.keyframes(camera)

    @property
    def title(self) -> str:
        """Where one is, in words, for the window's title."""
        s = self.session
        parts = [f"{self.source.info.name} {s.frame}"]
        if s.selected is not None and self.item is not None:
            parts.append(self.name_of(s.selected))
        if s.enlarged:
            parts.append(s.enlarged)
        return " - ".join([*parts, "FleetLabel"])

    def name_of(self, object_id: int) -> str:
        """An object in words."""
        item = self.source.now.state.get(object_id)
        kind = shown_class(self.source.now.state.class_of(item)).replace("_", " ") if item else "object"
        return f"{kind} {short_id(object_id)}"

    def _tile_sizes(self) -> dict[str, tuple[int, int]]:
        """Pictures fill their tiles' width or height."""
        sizes = {}
        for name, aspect in zip(self.cameras, self._aspects, strict=True):
            tile = self.layout.tiles[name]
            width = min(tile.width, round(tile.height * aspect))
            sizes[name] = (max(width, 1), max(min(tile.height, round(width / aspect)), 1))
        return sizes
