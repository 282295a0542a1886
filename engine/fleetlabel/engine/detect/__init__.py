"""2D detection with YOLO networks: JPEG bytes in, boxes out, on whichever inference library is fastest here.

Letterbox, head decoding and suppression are our own; ultralytics is needed only to load its ``.pt``
checkpoints.
"""

from fleetlabel.engine.detect.backend import BackendSpec
from fleetlabel.engine.detect.choose import BackendChoice, Measurement, choose_backend
from fleetlabel.engine.detect.config import DetectConfig
from fleetlabel.engine.detect.detector import DetectFailure, Detector, FrameDetections
from fleetlabel.engine.detect.libraries import load_weights
from fleetlabel.engine.detect.weights import Weights, WeightsKind

__all__ = [
    "BackendChoice",
    "BackendSpec",
    "DetectConfig",
    "DetectFailure",
    "Detector",
    "FrameDetections",
    "Measurement",
    "Weights",
    "WeightsKind",
    "choose_backend",
    "load_weights",
]
