"""Top, side and rear view of one box: what is where in them, what the pointer takes hold of, what dragging it does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from fleetlabel.geometry.arrays import F64, Bool
from fleetlabel.viewers.editor.pose import BoxPose

CORNER_PX, EDGE_PX, KNOB_PX = 9.0, 7.0, 11.0
_KNOB_OUT_PX = 26.0  # how far the knob that turns the box is off its front
_FILLS = 0.5  # share of a view that a box takes
_SLAB_M = 0.8  # points that far beyond a box still show in the views along it


class Side(StrEnum):
    """From where a pane looks at the box."""

    TOP = "top"
    LATERAL = "side"
    REAR = "rear"


# Columns: axis of the box to the right, its sign, axis of the box downwards, its sign, axis that is looked along.
_AXES = {Side.TOP: (1, -1, 0, -1, 2), Side.LATERAL: (0, 1, 2, -1, 1), Side.REAR: (1, -1, 2, -1, 0)}


@dataclass(frozen=True, slots=True)
class Handle:
    """What the pointer took hold of: nothing but the box itself, its knob, or one or two faces (axis, sign)."""

    kind: str  # "body", "knob", "face", "corner"
    faces: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Pane:
    """One orthographic view: the frame of a box on a rectangle of pixels. The frame stays while the box is dragged.

    Attributes:
        side: from where it looks.
        frame: the box as it was when the view was made.
        x, y, width, height: rectangle in pixels.
        zoom: factor on the size that shows the box well.
    """

    side: Side
    frame: BoxPose
    x: float
    y: float
    width: float
    height: float
    zoom: float = 1.0

    @property
    def pixels_per_m(self) -> float:
        """Scale."""
        right, _, down, _, _ = _AXES[self.side]
        size = self.frame.size_lwh_m
        wide, high = max(size[right], 0.8), max(size[down], 0.8)
        return self.zoom * _FILLS * min(self.width / wide, self.height / high)

    def pixels(self, points_box_m: F64) -> F64:
        """Pixels (..., 2) of points (..., 3) along the axes of the view's frame."""
        right, right_sign, down, down_sign, _ = _AXES[self.side]
        scale = self.pixels_per_m
        u = self.x + self.width / 2 + right_sign * scale * points_box_m[..., right]
        v = self.y + self.height / 2 + down_sign * scale * points_box_m[..., down]
        return np.stack([u, v], axis=-1)

    def of_world(self, points_world_m: F64) -> F64:
        """Pixels (..., 2) of points (..., 3) in the world."""
        return self.pixels(self.frame.local(points_world_m))

    def step_m(self, du_px: float, dv_px: float) -> F64:
        """(3,) along the frame's axes of a way in pixels."""
        right, right_sign, down, down_sign, _ = _AXES[self.side]
        step = np.zeros(3)
        step[right] = right_sign * du_px / self.pixels_per_m
        step[down] = down_sign * dv_px / self.pixels_per_m
        return step

    def contains(self, u: float, v: float) -> bool:
        """Whether a pixel is within the view."""
        return self.x <= u < self.x + self.width and self.y <= v < self.y + self.height

    def shows(self, points_box_m: F64) -> Bool:
        """(P,) which points, along the frame's axes, are near the box along the direction that is looked in."""
        *_, along = _AXES[self.side]
        shown: Bool = np.abs(points_box_m[:, along]) <= 0.5 * self.frame.size_lwh_m[along] + _SLAB_M
        return shown

    # --- the box in it ----------------------------------------------------------------------------------------------

    def outline(self, box: BoxPose) -> F64:
        """(4, 2) pixels of the box's outline; in the top view front left, rear left, rear right, front right."""
        if self.side is Side.TOP:
            return self.of_world(box.corners_m[:4])
        right, _, _, _, _ = _AXES[self.side]
        half = 0.5 * np.array(box.size_lwh_m)
        local = np.zeros((4, 3))
        local[:, right] = np.array([1, -1, -1, 1]) * half[right]
        local[:, 2] = np.array([-1, -1, 1, 1]) * half[2]
        # Seen along its own axis: as the box stands to the frame only by its place.
        offset = self.frame.local(np.array(box.center_m))
        return self.pixels(local + offset)

    def knob(self, box: BoxPose) -> F64:
        """(2,) pixel of what turns the box."""
        outline = self.outline(box)
        front, middle = (outline[0] + outline[3]) / 2, outline.mean(axis=0)
        way = front - middle
        knob: F64 = front + way / max(np.linalg.norm(way), 1e-9) * _KNOB_OUT_PX
        return knob

    def handle_at(self, box: BoxPose, u: float, v: float) -> Handle | None:
        """What is under the pointer; corners before edges before the box."""
        at = np.array([u, v])
        if self.side is Side.TOP and np.linalg.norm(self.knob(box) - at) <= KNOB_PX:
            return Handle("knob")
        outline = self.outline(box)
        # Sides of the outline: between corners 0-1, 1-2, 2-3, 3-0.
        sides = self._faces()
        away = np.linalg.norm(outline - at, axis=1)
        corner = int(np.argmin(away))
        if away[corner] <= CORNER_PX:
            return Handle("corner", (sides[corner - 1], sides[corner]))
        distances = [_off_segment(at, outline[k], outline[(k + 1) % 4]) for k in range(4)]
        nearest = int(np.argmin(distances))
        if distances[nearest] <= EDGE_PX:
            return Handle("face", (sides[nearest],))
        return Handle("body") if _inside(at, outline) else None

    def _faces(self) -> list[tuple[int, int]]:
        """Face of each side of the outline, in its order."""
        if self.side is Side.TOP:
            return [(1, 1), (0, -1), (1, -1), (0, 1)]
        right, _, _, _, _ = _AXES[self.side]
        return [(2, -1), (right, -1), (2, 1), (right, 1)]

    def dragged(
        self, box: BoxPose, handle: Handle, start: tuple[float, float], now: tuple[float, float]
    ) -> BoxPose:
        """The box once a handle of it has been dragged from one pixel to another."""
        if handle.kind == "knob":
            middle = self.outline(box).mean(axis=0)
            before, after = (math.atan2(p[1] - middle[1], p[0] - middle[0]) for p in (start, now))
            return box.turned(-math.remainder(after - before, math.tau))
        step_frame = self.step_m(now[0] - start[0], now[1] - start[1])
        # Into the axes of the box as it is: the views along the box look along its own axes anyway.
        if self.side is Side.TOP:
            turn = self.frame.yaw_rad - box.yaw_rad
            cos, sin = math.cos(turn), math.sin(turn)
            x, y, z = step_frame.tolist()
            step = np.array([cos * x - sin * y, sin * x + cos * y, z])
        else:
            step = step_frame
        if handle.kind == "body":
            return box.moved(step)
        for axis, sign in handle.faces:
            box = box.with_face(axis, sign, sign * 0.5 * box.size_lwh_m[axis] + float(step[axis]))
            # The box has moved: what is left of the step is along axes that have not been used yet.
        return box

    def nudged(self, box: BoxPose, right: float, down: float, step_m: float) -> BoxPose:
        """The box moved by whole steps in the view's directions."""
        scale = self.pixels_per_m * step_m
        return self.dragged(box, Handle("body"), (0.0, 0.0), (right * scale, down * scale))


def _off_segment(point: F64, start: F64, stop: F64) -> float:
    way = stop - start
    share = float(np.clip((point - start) @ way / max(float(way @ way), 1e-12), 0.0, 1.0))
    return float(np.linalg.norm(point - start - share * way))


def _inside(point: F64, polygon: F64) -> bool:
    edge = np.roll(polygon, -1, axis=0) - polygon
    off = point - polygon
    cross = edge[:, 0] * off[:, 1] - edge[:, 1] * off[:, 0]
    return bool(np.all(cross >= 0) or np.all(cross <= 0))
