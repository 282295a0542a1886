"""Multi-object tracking in 2D and 3D, online and offline: arrays in, arrays out.

Uses nothing of the project but ``fleetlabel.geometry`` and can be used alone.
"""

from __future__ import annotations

from fleetlabel.trackers.calibration import calibrate
from fleetlabel.trackers.config import Tracker2DConfig, Tracker3DConfig
from fleetlabel.trackers.offline2d import smooth_tracks_2d
from fleetlabel.trackers.offline3d import smooth_tracks_3d
from fleetlabel.trackers.offline_config import Smooth2DConfig, Smooth3DConfig
from fleetlabel.trackers.rows import Detections2D, Detections3D, Status, Tracks2D, Tracks3D
from fleetlabel.trackers.tracker2d import Tracker2D
from fleetlabel.trackers.tracker3d import Tracker3D

__all__ = [
    "Detections2D",
    "Detections3D",
    "Smooth2DConfig",
    "Smooth3DConfig",
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
]
