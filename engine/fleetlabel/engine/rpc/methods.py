"""Which role each method of the API takes at least, and which methods only watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fleetlabel.engine.catalog import Role


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for a method.

    Attributes:
        role: that a caller needs at least; None: no token is asked for.
        watches: it may go on for ever without doing anything, so that a shutdown ends it.
    """

    role: Role | None
    watches: bool = False


def _rules(service: str, role: Role, *methods: str, watches: bool = False) -> dict[str, Rule]:
    return {f"/{service}/{method}": Rule(role, watches) for method in methods}


_SEQUENCE, _PRELABEL = "fleetlabel.v1.SequenceService", "fleetlabel.v1.PrelabelService"
_TRACKING, _EXPORT = "fleetlabel.v1.TrackingService", "fleetlabel.v1.ExportService"
_OPERATION, _LABEL = "fleetlabel.v1.OperationService", "fleetlabel.v1.LabelService"
_FRAME = "fleetlabel.v1.FrameService"
_HEALTH = "grpc.health.v1.Health"
_REFLECTION = "grpc.reflection.v1alpha.ServerReflection"

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        # Viewers read everything, and take it home.
        **_rules(_SEQUENCE, Role.VIEWER, "ListSequences", "GetSequence"),
        **_rules(_FRAME, Role.VIEWER, "StreamPictures", "StreamSweeps", "GetTimeline", "GetCalibration"),
        **_rules(_LABEL, Role.VIEWER, "ListVersions", "GetBoxes2D", "GetBoxes3D", "GetObject", "GetHistory"),
        **_rules(_LABEL, Role.VIEWER, "PreviewEdits", "DiffLabels", "ExplainBox"),
        **_rules(_LABEL, Role.VIEWER, "WatchHead", watches=True),
        **_rules(_OPERATION, Role.VIEWER, "GetOperation", "ListOperations"),
        **_rules(_OPERATION, Role.VIEWER, "WaitOperation", "WatchOperation", watches=True),
        **_rules(_EXPORT, Role.VIEWER, "StartExport", "DownloadExport"),
        # Annotators edit.
        **_rules(_LABEL, Role.ANNOTATOR, "CommitEdits", "UndoEdits", "RedoEdits", "NextItems", "ReleaseItems"),
        # Reviewers decide about others' edits, and have machines work.
        **_rules(_LABEL, Role.REVIEWER, "RevertRecord", "RebaseEdits", "SaveVersion"),
        **_rules(_SEQUENCE, Role.REVIEWER, "IngestSequence", "UploadSequence"),
        **_rules(_PRELABEL, Role.REVIEWER, "StartPrelabel", "StartLift"),
        **_rules(_TRACKING, Role.REVIEWER, "StartTracking"),
        # Who started an operation may cancel it; the service asks an admin's role for anybody else's.
        **_rules(_OPERATION, Role.VIEWER, "CancelOperation"),
        # Admins destroy.
        **_rules(_SEQUENCE, Role.ADMIN, "DeleteSequence"),
        # Probes have no token.
        f"/{_HEALTH}/Check": Rule(None),
        **_rules(_HEALTH, Role.VIEWER, "Watch", "List", watches=True),
        **_rules(_REFLECTION, Role.VIEWER, "ServerReflectionInfo"),
    }
)  # fmt: skip
