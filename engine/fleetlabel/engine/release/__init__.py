"""Data sets frozen by content: which drives, which labels, which splits; exported, verified, compared.

``creating`` makes a manifest (``manifest``) of a fleet's stores: ``counting`` says what each drive has, ``grouping``
and ``places`` which drives must not be parted, ``splits`` where they go. ``exporting`` writes it in a format, laid out
as its readers expect (``layouts``, ``merging``); ``verifying`` reads everything again; ``comparing`` tells two apart.
"""

from fleetlabel.engine.release.comparing import Comparison, compare
from fleetlabel.engine.release.creating import Asked, Created, create, drop
from fleetlabel.engine.release.exporting import ExportedRelease, export_release
from fleetlabel.engine.release.manifest import Manifest, ReleasedDrive, manifests_of, read_manifest
from fleetlabel.engine.release.splits import parse_shares
from fleetlabel.engine.release.verifying import VerifiedDrive, verify_release

__all__ = [
    "Asked",
    "Comparison",
    "Created",
    "ExportedRelease",
    "Manifest",
    "ReleasedDrive",
    "VerifiedDrive",
    "compare",
    "create",
    "drop",
    "export_release",
    "manifests_of",
    "parse_shares",
    "read_manifest",
    "verify_release",
]
