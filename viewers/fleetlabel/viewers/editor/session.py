"""What the app remembers while it is open: where one looks, what is selected, what is in the hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from fleetlabel.geometry.arrays import Bool
from fleetlabel.labels import Item, ObjectBoxes
from fleetlabel.viewers.editor.creating import Ghost
from fleetlabel.viewers.editor.gizmo2d import Handle2D, Xyxy
from fleetlabel.viewers.editor.orbit import OrbitCamera
from fleetlabel.viewers.editor.panes import Handle, Side
from fleetlabel.viewers.editor.perspective import PointColors
from fleetlabel.viewers.editor.pose import BoxPose
from fleetlabel.viewers.editor.source import Refused
from fleetlabel.viewers.editor.suggestions import Suggestion
from fleetlabel.viewers.palette import ColorBy


class Mode(StrEnum):
    """What the next click does."""

    SELECT = "select"
    DRAW = "draw"
    MERGE = "merge"


class Tone(StrEnum):
    """How a message is meant."""

    PLAIN = "plain"
    GOOD = "good"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Message:
    """One line to the person at work."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Drag3D:
    """A handle of the box in a pane, from where it was taken.

    Attributes:
        side: the pane.
        fit: whether the face snaps to points on release.
    """

    side: Side
    handle: Handle
    start: tuple[float, float]
    box: BoxPose
    fit: bool


@dataclass(frozen=True, slots=True)
class Drag2D:
    """A handle of a 2D box, from where it was taken, in the picture's pixels; no handle: a box is drawn."""

    handle: Handle2D | None
    start: tuple[float, float]
    box: Xyxy


@dataclass(frozen=True, slots=True)
class Clash:
    """Edits that were refused, and what is to be decided between.

    Attributes:
        refused: mine, and what the others did.
        theirs, mine: the box at the frame on the screen as it is, and as I wanted it, if there is one.
    """

    refused: Refused
    theirs: BoxPose | None
    mine: BoxPose | None


@dataclass
class Session:
    """See the module. ``frame`` counts the sequence's frames; everything else is as its type says.

    Attributes:
        n_frames: of the sequence.
        adjusted, adjusted2d: where the box is while a hand is on it.
        nudging: the key that is held, if a key moves it.
        previous: the selected object's boxes before the last edit, dashed until the next action.
        changed: (F,) frames that the last edit moved.
        enlarged: camera over the perspective view; "" is none.
        pointer: where it was last, in pixels of the window.
    """

    n_frames: int
    frame: int = 0
    direction: int = 1
    selected: int | None = None
    mode: Mode = Mode.SELECT
    playing: bool = False
    enlarged: str = ""
    isolated: bool = False
    accumulated: bool = False
    help_open: bool = False
    hidden: set[int] = field(default_factory=set)
    locked: set[int] = field(default_factory=set)
    wanted: str = ""
    list_top: int = 0
    point_colors: PointColors = PointColors.HEIGHT
    box_colors: ColorBy = ColorBy.CLASS
    hovered: Side | None = None
    pane_zoom: float = 1.0
    pointer: tuple[float, float] = (-1.0, -1.0)
    orbit: OrbitCamera = field(default_factory=OrbitCamera)
    adjusted: BoxPose | None = None
    adjusted2d: Xyxy | None = None
    nudging: str = ""
    drag: Drag3D | Drag2D | None = None
    ghost: Ghost | None = None
    previous: ObjectBoxes | None = None
    changed: Bool = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    suggestion: Suggestion | None = None
    item: Item | None = None
    clash: Clash | None = None
    message: Message = Message("")
    saved: str = "No edits yet"
    saved_tone: Tone = Tone.PLAIN

    def __post_init__(self) -> None:
        if not len(self.changed):
            self.changed = np.zeros(self.n_frames, dtype=np.bool_)
