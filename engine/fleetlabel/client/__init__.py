"""The engine from anywhere: a typed client of its API, for notebooks, pipelines, the command line and the app.

    with Engine("localhost:50551", token="fl_...") as engine:
        sequence = engine.sequence("drives/monday.zarr")
        labels = sequence.labels.now()
        boxes = labels.boxes3d(0, 100)                      # columns are numpy arrays
        edit = SetKeyframe3D(object_id=7, frame=3, center_m=(1.0, 2.0, 0.8), yaw_rad=0.1)
        sequence.labels.commit([edit], base=labels)         # saved, or the conflicts say who was faster

Everything may be called from any thread. Calls that the engine could not take (it restarts, the line broke) are made
again for a while, which never does anything twice; what is wrong is raised as an error of FleetLabel's own tree.
"""

from fleetlabel.client.connection import ConnectionSettings
from fleetlabel.client.engine import Engine
from fleetlabel.client.frames import RemoteFrames, Timeline
from fleetlabel.client.labels import HeadNews, HistoryEntry, RemoteLabels
from fleetlabel.client.operations import (
    ExportResult,
    Operation,
    OperationKind,
    OperationState,
    PipelineResult,
    RemoteOperation,
)
from fleetlabel.client.sequence import RemoteSequence, SequenceEntry
from fleetlabel.client.snapshot import ObjectView, RemoteSnapshot
from fleetlabel.wire.boxes import Block, Provenance
from fleetlabel.wire.errors import (
    ConflictError,
    DeadlineError,
    EngineFaultError,
    RequestError,
    RequestIdError,
    UnavailableError,
)
from fleetlabel.wire.frames import LabelsState
from fleetlabel.wire.samples import LidarSample, Picture

__all__ = [
    "Block",
    "ConflictError",
    "ConnectionSettings",
    "DeadlineError",
    "Engine",
    "EngineFaultError",
    "ExportResult",
    "HeadNews",
    "HistoryEntry",
    "LabelsState",
    "LidarSample",
    "ObjectView",
    "Operation",
    "OperationKind",
    "OperationState",
    "Picture",
    "PipelineResult",
    "Provenance",
    "RemoteFrames",
    "RemoteLabels",
    "RemoteOperation",
    "RemoteSequence",
    "RemoteSnapshot",
    "RequestError",
    "RequestIdError",
    "SequenceEntry",
    "Timeline",
    "UnavailableError",
]
