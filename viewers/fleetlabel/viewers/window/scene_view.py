"""The perspective view: Open3D's scene, told what to show by the editor."""

from __future__ import annotations

from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import F64
from fleetlabel.viewers.editor.corrections import pose_at
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.object_list import short_id
from fleetlabel.viewers.editor.orbit import FIELD_OF_VIEW_DEG
from fleetlabel.viewers.editor.perspective import (
    Lines,
    color_points,
    cuboid_lines,
    dashed,
    joined,
    pose_lines,
    ramp,
    surroundings,
    trail_lines,
)
from fleetlabel.viewers.editor.stroke_font import facing_lines
from fleetlabel.viewers.editor.window_layout import Panel
from fleetlabel.viewers.panels import theme

_NEAR_M, _FAR_M = 0.3, 900.0
_NAMES, _NAME_PX = 30, 11.0  # objects whose number is written in the scene, and how high
_SWEEPS_AROUND = 6  # frames each way that are accumulated
_MOST_ACCUMULATED = 250_000


def unit(color: tuple[int, int, int]) -> tuple[float, float, float]:
    """Red, green, blue 0..1 of one of the theme's colours."""
    blue, green, red = color
    return red / 255, green / 255, blue / 255


def _has_extent(points_m: F64) -> bool:
    """Whether there is more than one place: Filament ends the process at a geometry without an extent."""
    return len(points_m) > 1 and float(np.ptp(points_m, axis=0).max()) > 1e-6


class SceneView:
    """A SceneWidget that shows an editor's frame."""

    def __init__(self, editor: Editor, window: Any) -> None:
        from open3d.visualization import gui, rendering

        self._rendering = rendering
        self._editor = editor
        self.widget = gui.SceneWidget()
        self.widget.scene = rendering.Open3DScene(window.renderer)
        # Without post-processing nothing turns the background, which Filament keeps in linear light, back.
        shown = np.power(unit(theme.BACKGROUND), 1 / 2.2)
        self.widget.scene.set_background(np.array([*shown, 1.0], dtype=np.float32))
        self.widget.enable_scene_caching(True)
        view = self.widget.scene.view
        view.set_post_processing(False)
        view.set_antialiasing(False)
        view.set_ambient_occlusion(False, False)
        view.set_shadowing(False, rendering.View.ShadowType.PCF)
        self._origin: F64 = np.floor(editor.world_from_ego[:3, 3])
        self._points_key: object = None
        self._material = {
            "points": self._made("defaultUnlit", point_size=2.0),
            "lines": self._made("unlitLine", line_width=1.4),
            "thick": self._made("unlitLine", line_width=2.6),
        }

    def _made(self, shader: str, **values: float) -> Any:
        material = self._rendering.MaterialRecord()
        material.shader = shader
        for name, value in values.items():
            setattr(material, name, value)
        return material

    def update(self) -> None:
        """Shows what the editor says."""
        editor, s = self._editor, self._editor.session
        key = (s.frame, s.point_colors, s.accumulated)
        if key != self._points_key:
            self._points_key = key
            self._put_points()
        cuboids = editor.cuboids()
        ground = editor.ground_m
        self._put("around", surroundings(editor.world_from_ego, ground), "lines")
        self._put("boxes", cuboid_lines(cuboids, s.box_colors), "lines")
        self._put("selected", self._selected_lines(), "thick")
        self._put("thin", self._thin_lines(), "lines")
        self.look()

    def lay_out(self, frame: Any) -> None:
        """Takes its place."""
        self.widget.frame = frame
        if self.widget.visible:
            self.look()

    def look(self) -> None:
        """Moves the camera to where the editor's is."""
        orbit, place = self._editor.session.orbit, self._editor.layout.places[Panel.MAIN]
        camera = self.widget.scene.camera
        camera.set_projection(
            FIELD_OF_VIEW_DEG,
            place.width / max(place.height, 1),
            _NEAR_M,
            _FAR_M,
            self._rendering.Camera.FovType.Vertical,
        )
        target, eye = orbit.target_m - self._origin, orbit.eye_m - self._origin
        camera.look_at(target.astype(np.float32), eye.astype(np.float32), [0.0, 0.0, 1.0])
        self._put_names()
        self.widget.force_redraw()

    # --- geometry -----------------------------------------------------------------------------------------------------

    def _put_points(self) -> None:
        import open3d as o3d

        editor, s = self._editor, self._editor.session
        points = editor.cache.cloud(s.frame)
        cuboids = editor.source.cuboids_at(s.frame, s.frame + 1)
        pictures = editor.cache.pictures(s.frame)
        ego = editor.world_from_ego[:3, 3]
        colors = color_points(points, s.point_colors, ego, pictures, cuboids, editor.ground_m)
        world = points.world_m
        if s.accumulated:
            world, colors = self._accumulated(world, colors)
        scene = self.widget.scene
        if scene.has_geometry("points"):
            scene.remove_geometry("points")
        if not _has_extent(world):
            return
        cloud = o3d.geometry.PointCloud()
        cloud.points = o3d.utility.Vector3dVector(world - self._origin)
        cloud.colors = o3d.utility.Vector3dVector(colors)
        scene.add_geometry("points", cloud, self._material["points"])

    def _accumulated(self, world: F64, colors: F64) -> tuple[F64, F64]:
        editor, s = self._editor, self._editor.session
        parts, shades = [world], [colors]
        for frame in range(max(s.frame - _SWEEPS_AROUND, 0), min(s.frame + _SWEEPS_AROUND + 1, s.n_frames)):
            if frame != s.frame:
                other = editor.cache.cloud(frame).world_m
                parts.append(other)
                shades.append(ramp((other[:, 2] - editor.ground_m) / 3.5))
        points, shade = np.concatenate(parts), np.concatenate(shades)
        step = max(-(-len(points) // _MOST_ACCUMULATED), 1)
        return points[::step], shade[::step]

    def _put(self, name: str, lines: Lines, material: str) -> None:
        import open3d as o3d

        scene = self.widget.scene
        if scene.has_geometry(name):
            scene.remove_geometry(name)
        if not _has_extent(lines.points_m):
            return
        drawn = o3d.geometry.LineSet()
        drawn.points = o3d.utility.Vector3dVector(lines.points_m - self._origin)
        drawn.lines = o3d.utility.Vector2iVector(
            np.arange(len(lines.points_m), dtype=np.int32).reshape(-1, 2)
        )
        drawn.colors = o3d.utility.Vector3dVector(lines.rgb)
        scene.add_geometry(name, drawn, self._material[material])

    def _selected_lines(self) -> Lines:
        editor, s = self._editor, self._editor.session
        box = editor.shown_pose()
        if box is None:
            return joined([])
        color = unit(theme.GHOST if s.ghost is not None or editor.is_guess else theme.ACCENT)
        lines = pose_lines(box, color)
        return dashed(lines) if editor.is_guess else lines

    def _thin_lines(self) -> Lines:
        """The selected object's course, its box before the last edit, and mine in a conflict."""
        editor, s = self._editor, self._editor.session
        parts = []
        if s.ghost is not None:
            centers = np.array([s.ghost.poses[frame].center_m for frame in sorted(s.ghost.poses)])
            parts.append(trail_lines(centers, unit(theme.GHOST)))
        elif s.selected is not None and editor.item is not None:
            cuboids = editor.source.boxes(s.selected).cuboids
            if len(cuboids) > 1:
                parts.append(trail_lines(cuboids.center_m, unit(theme.ACCENT)))
        if s.previous is not None and (old := pose_at(s.previous.cuboids, s.frame)) is not None:
            parts.append(dashed(pose_lines(old, unit(theme.BEFORE))))
        if s.clash is not None and s.clash.mine is not None:
            parts.append(dashed(pose_lines(s.clash.mine, unit(theme.PROBLEM))))
        return joined(parts)

    def _put_names(self) -> None:
        """Numbers of the nearest objects and of the selected one."""
        editor, s = self._editor, self._editor.session
        cuboids = editor.cuboids()
        away = np.linalg.norm(cuboids.center_m - s.orbit.eye_m, axis=1)
        nearest = np.argsort(away, kind="stable")[:_NAMES]
        tops = [*cuboids.center_m[nearest]]
        heights = cuboids.size_lwh_m[nearest, 2].tolist()
        words = [short_id(int(number)) for number in cuboids.track_id[nearest]]
        colors = [unit(theme.TEXT)] * len(words)
        box = editor.shown_pose()
        if box is not None:
            ghost = s.ghost is not None or s.selected is None
            tops.append(np.array(box.center_m))
            heights.append(box.size_lwh_m[2])
            words.append("new" if ghost else short_id(s.selected or 0))
            colors.append(unit(theme.GHOST if ghost else theme.ACCENT))
        at = np.array(tops).reshape(-1, 3)
        at[:, 2] += np.array(heights) / 2
        place, scale = editor.layout.places[Panel.MAIN], editor.layout.scale
        rgb = np.array(colors).reshape(-1, 3)
        lines = facing_lines(words, at, rgb, s.orbit, _NAME_PX * scale, place.height)
        self._put("names", lines, "lines")
