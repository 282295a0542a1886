"""Drive logs in: recognised by looking, opened, and read range by range into the store.

``source`` holds the contract that every format fulfils, ``formats`` the list of formats, ``testing`` small
drives on disk for tests.
"""

from fleetlabel.engine.ingest.detections import import_detections2d, import_detections3d
from fleetlabel.engine.ingest.formats import list_sequences, open_sequence, recognise
from fleetlabel.engine.ingest.source import (
    GroundTruth,
    SequenceSource,
    SourceFormat,
    write_ground_truth,
)
from fleetlabel.store.sequence import GROUND_TRUTH

__all__ = [
    "GROUND_TRUTH",
    "GroundTruth",
    "SequenceSource",
    "SourceFormat",
    "import_detections2d",
    "import_detections3d",
    "list_sequences",
    "open_sequence",
    "recognise",
    "write_ground_truth",
]
