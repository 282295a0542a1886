"""The Zarr layout of a sequence: the only package that knows paths, chunks and commit records.

A store is a tree of tables. A table's rows are samples (for sensors, machine stages and labels: the frames of the
sequence), each with fixed-size columns and a run of rows in flat columns (JPEG bytes, points, boxes). It is written
in parts, one per task, and a part exists only once it is committed.
"""

from fleetlabel.store.info import SequenceInfo
from fleetlabel.store.integrity import (
    StoreInfo,
    TableInfo,
    content_of,
    describe,
    input_hash,
    labels_hash,
    verify,
)
from fleetlabel.store.part import Part
from fleetlabel.store.readers import CameraReader, LidarReader
from fleetlabel.store.sequence import SequenceStore
from fleetlabel.store.table import CommitRecord, Quarantined, SampleStatus, Table
from fleetlabel.store.versions import LabelChanges, LabelVersion

__all__ = [
    "CameraReader",
    "CommitRecord",
    "LabelChanges",
    "LabelVersion",
    "LidarReader",
    "Part",
    "Quarantined",
    "SampleStatus",
    "SequenceInfo",
    "SequenceStore",
    "StoreInfo",
    "Table",
    "TableInfo",
    "content_of",
    "describe",
    "input_hash",
    "labels_hash",
    "verify",
]
