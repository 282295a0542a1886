"""Multi-object tracking in 2D and 3D, online and offline: arrays in, arrays out.

Uses nothing of the project but ``fleetlabel.geometry`` and can be used alone.
"""

from __future__ import annotations

from fleetlabel.trackers.calibration import calibrate
from fleetlabel.trackers.config import Tracker2DConfig, Tracker3DConfig
from fleetlabel.trackers.offline2d import smooth_tracks_2d
from fleetlabel.trackers.offline3d import smooth_tracks_3d
from fleetlabel.trackers.offline_config import Smooth2DConfig, Smooth3DConfig
from fleetlabel.trackers.resolve import Method, SolvedTrack2D, SolvedTrack3D
from fleetlabel.trackers.resolve2d import solve_track_2d
from fleetlabel.trackers.resolve3d import EgoView, solve_track_3d
from fleetlabel.trackers.resolve_config import CourseNoise, Resolve2DConfig, Resolve3DConfig
from fleetlabel.trackers.rows import Detections2D, Detections3D, Status, Tracks2D, Tracks3D
from fleetlabel.trackers.steadying import steady_from_world
from fleetlabel.trackers.tracker2d import Tracker2D
from fleetlabel.trackers.tracker3d import Tracker3D

__all__ = [
    "CourseNoise",
    "Detections2D",
    "Detections3D",
    "EgoView",
    "Method",
    "Resolve2DConfig",
    "Resolve3DConfig",
    "Smooth2DConfig",
    "Smooth3DConfig",
    "SolvedTrack2D",
    "SolvedTrack3D",
    "Status",
    "Tracker2D",
    "Tracker2DConfig",
    "Tracker3D",
    "Tracker3DConfig",
    "Tracks2D",
    "Tracks3D",
    "calibrate",
    "smooth_tracks_2d",
    "smooth_tracks_3d",
    "solve_track_2d",
    "solve_track_3d",
    "steady_from_world",
]
