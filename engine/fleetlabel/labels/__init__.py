"""People's edits of labels: a journal of small values, re-solved around, undone, explained and saved as versions."""

from fleetlabel.labels.applying import apply
from fleetlabel.labels.edit_bases import Edit
from fleetlabel.labels.explaining import Reason, explain
from fleetlabel.labels.labels import Commit, Conflict, Labels
from fleetlabel.labels.leases import Lease, Leases, next_items
from fleetlabel.labels.objects import Flag, LabelObject, Note, PictureBox, Pose, Segment
from fleetlabel.labels.queue import Item, Progress, Queue, ranked_together
from fleetlabel.labels.ranking import QueueConfig
from fleetlabel.labels.rebasing import CarriedOver, Misfit
from fleetlabel.labels.records import Record, Step
from fleetlabel.labels.saving import Difference, diff, differences, objects_of, save_version, snapshot_of
from fleetlabel.labels.snapshot import Snapshot
from fleetlabel.labels.solving import ObjectBoxes, Solved, Solver
from fleetlabel.labels.state import LabelState

__all__ = [
    "CarriedOver",
    "Commit",
    "Conflict",
    "Difference",
    "Edit",
    "Flag",
    "Item",
    "LabelObject",
    "LabelState",
    "Labels",
    "Lease",
    "Leases",
    "Misfit",
    "Note",
    "ObjectBoxes",
    "PictureBox",
    "Pose",
    "Progress",
    "Queue",
    "QueueConfig",
    "Reason",
    "Record",
    "Segment",
    "Snapshot",
    "Solved",
    "Solver",
    "Step",
    "apply",
    "diff",
    "differences",
    "explain",
    "next_items",
    "objects_of",
    "ranked_together",
    "save_version",
    "snapshot_of",
]
