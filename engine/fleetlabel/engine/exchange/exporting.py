"""Labels to files, with a report of what the files cannot say and a certificate of what comes back from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetlabel.engine.exchange.certificate import certify
from fleetlabel.engine.exchange.contract import WritableFormat
from fleetlabel.engine.exchange.labels import Labels
from fleetlabel.engine.exchange.losses import losses, survey
from fleetlabel.engine.exchange.writing import REPORT, new_text


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """An export.

    Attributes:
        notes: what was written and what to know about it, in words.
        report: JSON-ready; what ``loss_report.json`` holds of this sequence.
    """

    notes: Sequence[str]
    report: dict[str, Any]


def export_labels(labels: Labels, format: WritableFormat, out: Path, version: str) -> Exported:
    """Writes labels below a folder, reads them in again, and writes ``loss_report.json``.

    The report is by sequence: other sequences' entries stay.

    Raises:
        StoreExistsError: the folder has labels of this sequence.
        StoreWriteError: the file system refused.
    """
    found = survey(labels, format.carries)
    notes = format.write(labels, out)
    report: dict[str, Any] = {
        "format": format.name,
        "labels": version,
        "boxes": {of: found.count(of) for of in found.rows},
        "lost": losses(found, format.carries),
        "notes": [*format.carries.notes, *(note.replace(f"{out}/", "") for note in notes)],
        "certificate": certify(labels, found, format, out),
    }
    if not labels.labelled_cameras and not format.carries.cuboids:
        report["notes"].append(
            "no camera is labelled: boxes in pictures are those around what cameras see of cuboids"
        )
    _enter(out / REPORT, labels.drive.file_name, report)
    return Exported(notes, report)


def _enter(path: Path, sequence: str, report: dict[str, Any]) -> None:
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        known = {}
    path.unlink(missing_ok=True)
    with new_text(path) as file:
        json.dump(
            {**known, sequence: report} if isinstance(known, dict) else {sequence: report}, file, indent=1
        )
