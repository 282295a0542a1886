"""Labels in and out: other tools' label files, exactly, and what they cannot say.

One file per format behind one contract (``contract.py``); ``exporting`` and ``importing`` do what all have in common.
"""

from fleetlabel.engine.exchange.contract import Carries, LabelFormat, WritableFormat
from fleetlabel.engine.exchange.exporting import Exported, export_labels
from fleetlabel.engine.exchange.formats import FORMATS, format_named, writable_format
from fleetlabel.engine.exchange.importing import Imported, import_labels, read_labels
from fleetlabel.engine.exchange.labels import Drive, Labels, StoredLabels

__all__ = [
    "FORMATS",
    "Carries",
    "Drive",
    "Exported",
    "Imported",
    "LabelFormat",
    "Labels",
    "StoredLabels",
    "WritableFormat",
    "export_labels",
    "format_named",
    "import_labels",
    "read_labels",
    "writable_format",
]
