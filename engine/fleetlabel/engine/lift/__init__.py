"""Lift: 2D detections and lidar points to 3D cuboids. Arrays in, arrays out; it knows no store and no paths."""

from fleetlabel.engine.lift.frame import LiftConfig, lift_frame
from fleetlabel.engine.lift.inputs import CameraView, LidarPoints
from fleetlabel.engine.lift.priors import PRIORS, SizePrior
from fleetlabel.engine.lift.result import LiftedBoxes

__all__ = ["PRIORS", "CameraView", "LidarPoints", "LiftConfig", "LiftedBoxes", "SizePrior", "lift_frame"]
