"""What the engine's services stand on, whatever the wire: roots, operations, uploads, exports, lists of sequences."""

from fleetlabel.engine.serving.exports import Exports
from fleetlabel.engine.serving.operations import Operations
from fleetlabel.engine.serving.pipeline_work import pipeline_work
from fleetlabel.engine.serving.roots import DataRoots
from fleetlabel.engine.serving.sequences import SequencePage, list_sequences
from fleetlabel.engine.serving.uploads import Uploads
from fleetlabel.engine.serving.work import Report, Work

__all__ = [
    "DataRoots",
    "Exports",
    "Operations",
    "Report",
    "SequencePage",
    "Uploads",
    "Work",
    "list_sequences",
    "pipeline_work",
]
