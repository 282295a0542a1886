"""What every key does: one table, which a file can change.

The file is ``$XDG_CONFIG_HOME/fleetlabel/keys.yaml`` (by default below ``~/.config``): a mapping from command to one
chord or a list of chords, e.g. ``next_frame: right`` or ``redo: [ctrl+shift+z, ctrl+y]``. A command that is named there
loses its own keys; all others keep theirs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import yaml

from fleetlabel.model.errors import UsageError


class Command(StrEnum):
    """Everything that a key can ask for."""

    NEXT_FRAME = "next_frame"
    PREVIOUS_FRAME = "previous_frame"
    FORWARD_10 = "forward_10"
    BACK_10 = "back_10"
    PLAY = "play"
    NEXT_KEYFRAME = "next_keyframe"
    PREVIOUS_KEYFRAME = "previous_keyframe"
    MIDDLE = "middle"
    DRAW = "draw"
    NEXT_ITEM = "next_item"
    KEYFRAME = "keyframe"
    ABSENT = "absent"
    OCCLUDED = "occluded"
    DELETE = "delete"
    HIDE = "hide"
    LOCK = "lock"
    MERGE = "merge"
    SPLIT = "split"
    UNDO = "undo"
    REDO = "redo"
    TRIM_START = "trim_start"
    TRIM_END = "trim_end"
    STATIONARY = "stationary"
    BEST_FRAME = "best_frame"
    ISOLATE = "isolate"
    CLASS = "class"
    CAMERA = "camera"
    ACCEPT_SUGGESTION = "accept_suggestion"
    ESCALATE = "escalate"
    ACCEPT = "accept"
    ACCEPT_TO_KEYFRAME = "accept_to_keyframe"
    HELP = "help"
    CANCEL = "cancel"
    POINT_COLORS = "point_colors"
    BOX_COLORS = "box_colors"
    ACCUMULATE = "accumulate"
    PANE_UP = "pane_up"
    PANE_DOWN = "pane_down"
    PANE_LEFT = "pane_left"
    PANE_RIGHT = "pane_right"
    PANE_TURN_LEFT = "pane_turn_left"
    PANE_TURN_RIGHT = "pane_turn_right"
    PANE_FIT_HEADING = "pane_fit_heading"
    PANE_FIT = "pane_fit"
    PANE_FLIP = "pane_flip"


@dataclass(frozen=True, slots=True)
class Modifiers:
    """Which modifier keys are held."""

    shift: bool = False
    ctrl: bool = False
    alt: bool = False


@dataclass(frozen=True, slots=True)
class Binding:
    """One row of the table.

    Attributes:
        command: what it does.
        chords: keys, any of which does it; ``1-9`` stands for the nine digits.
        group: heading under which people find it.
        text: what it does, in words.
    """

    command: Command
    chords: tuple[str, ...]
    group: str
    text: str

    @property
    def over_pane(self) -> bool:
        """Whether it holds only with the pointer over the top, side or rear view."""
        return self.command.value.startswith("pane_")


_GO, _EDIT, _WHOLE, _REVIEW, _SHOW, _PANE = (
    *("Go", "This frame", "Whole track", "Review", "Show"),
    "Pointer over top, side or rear view",
)

TABLE: tuple[Binding, ...] = (
    Binding(Command.NEXT_FRAME, ("f", "right"), _GO, "next frame"),
    Binding(Command.PREVIOUS_FRAME, ("d", "left"), _GO, "previous frame"),
    Binding(Command.FORWARD_10, ("v",), _GO, "10 frames on"),
    Binding(Command.BACK_10, ("c",), _GO, "10 frames back"),
    Binding(Command.PLAY, ("space",), _GO, "play, pause"),
    Binding(Command.NEXT_KEYFRAME, ("r",), _GO, "next keyframe"),
    Binding(Command.PREVIOUS_KEYFRAME, ("e",), _GO, "previous keyframe"),
    Binding(Command.MIDDLE, ("b",), _GO, "middle between keyframes"),
    Binding(Command.BEST_FRAME, ("x",), _GO, "frame with most points"),
    Binding(Command.KEYFRAME, ("k",), _EDIT, "keyframe here, or none"),
    Binding(Command.DRAW, ("n",), _EDIT, "new object under the pointer"),
    Binding(Command.ABSENT, ("o",), _EDIT, "absent here, or not"),
    Binding(Command.OCCLUDED, ("q",), _EDIT, "occluded here, or not"),
    Binding(Command.TRIM_START, ("[",), _EDIT, "begins here"),
    Binding(Command.TRIM_END, ("]",), _EDIT, "ends here"),
    Binding(Command.SPLIT, ("alt+m",), _EDIT, "another object from here on"),
    Binding(Command.MERGE, ("m",), _WHOLE, "same as the next one clicked"),
    Binding(Command.ACCEPT_SUGGESTION, ("y",), _WHOLE, "take the suggested identity"),
    Binding(Command.CLASS, ("1-9",), _WHOLE, "class"),
    Binding(Command.STATIONARY, ("t",), _WHOLE, "stands still: one pose, or not"),
    Binding(Command.DELETE, ("delete", "backspace"), _WHOLE, "delete"),
    Binding(Command.LOCK, ("l",), _WHOLE, "lock, unlock"),
    Binding(Command.UNDO, ("ctrl+z",), _WHOLE, "undo"),
    Binding(Command.REDO, ("ctrl+shift+z",), _WHOLE, "redo"),
    Binding(Command.NEXT_ITEM, ("tab",), _REVIEW, "next in the queue"),
    Binding(Command.ACCEPT, ("enter",), _REVIEW, "accept the track, go to the next"),
    Binding(Command.ACCEPT_TO_KEYFRAME, ("shift+enter",), _REVIEW, "accept up to the next keyframe"),
    Binding(Command.ESCALATE, ("!", "shift+1"), _REVIEW, "escalate with a note"),
    Binding(Command.CAMERA, ("space+1-9",), _SHOW, "enlarge a camera"),
    Binding(Command.ISOLATE, ("i",), _SHOW, "only this object, followed"),
    Binding(Command.HIDE, ("h",), _SHOW, "hide, show"),
    Binding(Command.POINT_COLORS, ("p",), _SHOW, "what colours points"),
    Binding(Command.BOX_COLORS, ("shift+p",), _SHOW, "what colours boxes"),
    Binding(Command.ACCUMULATE, ("u",), _SHOW, "sweeps accumulated"),
    Binding(Command.CANCEL, ("escape",), _SHOW, "back"),
    Binding(Command.HELP, ("f1", "?", "shift+/"), _SHOW, "this table"),
    Binding(Command.PANE_UP, ("w",), _PANE, "move up"),
    Binding(Command.PANE_LEFT, ("a",), _PANE, "move left"),
    Binding(Command.PANE_DOWN, ("s",), _PANE, "move down"),
    Binding(Command.PANE_RIGHT, ("d",), _PANE, "move right"),
    Binding(Command.PANE_TURN_LEFT, ("q",), _PANE, "turn left"),
    Binding(Command.PANE_TURN_RIGHT, ("e",), _PANE, "turn right"),
    Binding(Command.PANE_FIT_HEADING, ("r",), _PANE, "turn to fit the points"),
    Binding(Command.PANE_FIT, ("f",), _PANE, "move to fit the points"),
    Binding(Command.PANE_FLIP, ("g",), _PANE, "heading the other way"),
)

_DIGITS = tuple("123456789")


@dataclass(frozen=True, slots=True)
class Pressed:
    """What a chord asks for; ``number`` is the digit of ``1-9``."""

    command: Command
    number: int = 0


class KeyTable:
    """The table with a file's changes: looks chords up."""

    def __init__(self, table: tuple[Binding, ...] = TABLE) -> None:
        self.table = table
        self._everywhere: dict[str, Pressed] = {}
        self._over_pane: dict[str, Pressed] = {}
        for binding in table:
            into = self._over_pane if binding.over_pane else self._everywhere
            for chord in binding.chords:
                for spelled, number in _digits_of(chord):
                    if spelled in into and into[spelled].command is not binding.command:
                        raise UsageError(
                            f"key {spelled!r} is given to both {into[spelled].command.value} and "
                            f"{binding.command.value}; give one of them another key"
                        )
                    into[spelled] = Pressed(binding.command, number)

    def find(self, key: str, held: Modifiers, *, over_pane: bool) -> Pressed | None:
        """What a key asks for; over a pane Shift and Alt only say how far, so they are no part of its keys."""
        if over_pane and not held.ctrl:
            found = self._over_pane.get(key)
            if found is not None:
                return found
        return self._everywhere.get(chord_of(key, held))

    def key_of(self, command: Command) -> str:
        """The first key of a command, as it is written on keyboards."""
        for binding in self.table:
            if binding.command is command:
                return written(binding.chords[0]) if binding.chords else ""
        return ""


def chord_of(key: str, held: Modifiers) -> str:
    """A key with its modifiers as the table spells it."""
    names = (("ctrl", held.ctrl), ("alt", held.alt), ("shift", held.shift and key not in "!?"))
    return "+".join([*(name for name, down in names if down), key])


def written(chord: str) -> str:
    """A chord as people read it: ``ctrl+shift+z`` is ``Ctrl+Shift+Z``."""
    short = {"delete": "Del", "escape": "Esc", "backspace": "Backspace"}
    parts = chord.split("+") if chord != "+" else [chord]
    return "+".join(short.get(part, part.capitalize()) for part in parts)


def keys_file() -> Path:
    """Where people keep their own keys."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "fleetlabel" / "keys.yaml"


def read_keys(path: Path | None = None) -> KeyTable:
    """The table with the changes of a file; the plain one if there is no such file.

    Raises:
        UsageError: the file is no such mapping, or gives one key to two commands.
    """
    path = path or keys_file()
    try:
        text = path.read_text()
    except FileNotFoundError:
        return KeyTable()
    try:
        return changed_table(yaml.safe_load(text) or {})
    except (yaml.YAMLError, UsageError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error


def changed_table(changes: Mapping[str, str | list[str]]) -> KeyTable:
    """The table with other chords for some commands.

    Raises:
        UsageError: there is no such command, a chord is none, or two commands share one.
    """
    if not isinstance(changes, Mapping):
        raise UsageError("expected a mapping from commands to keys, e.g. next_frame: right")
    known = {binding.command.value for binding in TABLE}
    unknown = sorted(str(name) for name in changes if name not in known)
    if unknown:
        raise UsageError(f"there is no command {unknown[0]!r}; there are {', '.join(sorted(known))}")
    table = []
    for binding in TABLE:
        given = changes.get(binding.command.value)
        if given is not None:
            listed = given if isinstance(given, list) else [given]
            chords = tuple(_spelled(binding.command, chord) for chord in listed)
            binding = Binding(binding.command, chords, binding.group, binding.text)
        table.append(binding)
    return KeyTable(tuple(table))


def _spelled(command: Command, chord: object) -> str:
    text = str(chord).lower().replace(" ", "")
    *held, key = text.split("+") if text != "+" else [text]
    known = {"ctrl", "alt", "shift", "space"}
    if not key or not set(held) <= known or len(set(held)) < len(held):
        raise UsageError(
            f"{command.value}: {chord!r} is no key; write e.g. f, ctrl+z, alt+m, space+1-9, escape, f1"
        )
    order = [name for name in ("ctrl", "alt", "shift", "space") if name in held]
    return "+".join([*order, key])


def _digits_of(chord: str) -> list[tuple[str, int]]:
    if not chord.endswith("1-9"):
        return [(chord, 0)]
    return [(chord.removesuffix("1-9") + digit, int(digit)) for digit in _DIGITS]
