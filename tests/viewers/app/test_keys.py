"""The key table: everything that the app promises has a key, and a file may change it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetlabel.model.errors import UsageError
from fleetlabel.viewers.editor.keys import Command, KeyTable, Modifiers, Pressed, read_keys

NONE, SHIFT, CTRL, ALT = Modifiers(), Modifiers(shift=True), Modifiers(ctrl=True), Modifiers(alt=True)


@pytest.mark.parametrize(
    ("key", "held", "over_pane", "command"),
    [
        ("f", NONE, False, Command.NEXT_FRAME),
        ("f", NONE, True, Command.PANE_FIT),
        ("d", NONE, True, Command.PANE_RIGHT),
        ("e", NONE, False, Command.PREVIOUS_KEYFRAME),
        ("q", SHIFT, True, Command.PANE_TURN_LEFT),
        ("w", ALT, True, Command.PANE_UP),
        ("m", NONE, False, Command.MERGE),
        ("m", ALT, False, Command.SPLIT),
        ("z", CTRL, False, Command.UNDO),
        ("z", CTRL, True, Command.UNDO),
        ("z", Modifiers(shift=True, ctrl=True), False, Command.REDO),
        ("1", SHIFT, False, Command.ESCALATE),
        ("!", SHIFT, False, Command.ESCALATE),
        ("?", SHIFT, False, Command.HELP),
        ("enter", NONE, False, Command.ACCEPT),
        ("enter", SHIFT, False, Command.ACCEPT_TO_KEYFRAME),
        ("tab", NONE, True, Command.NEXT_ITEM),
    ],
)
def test_keys_do_what_is_promised(key: str, held: Modifiers, over_pane: bool, command: Command) -> None:
    found = KeyTable().find(key, held, over_pane=over_pane)
    assert found is not None
    assert found.command is command


def test_every_command_has_a_key() -> None:
    assert {binding.command for binding in KeyTable().table} == set(Command)
    assert all(binding.chords for binding in KeyTable().table)


def test_digits_are_classes() -> None:
    assert KeyTable().find("7", NONE, over_pane=False) == Pressed(Command.CLASS, 7)


def test_a_file_changes_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text("next_frame: right\nredo: [ctrl+y, Shift+Ctrl+Z]\n")
    table = read_keys(path)
    assert table.find("f", NONE, over_pane=False) is None
    assert table.find("right", NONE, over_pane=False) == Pressed(Command.NEXT_FRAME)
    assert table.find("y", CTRL, over_pane=False) == Pressed(Command.REDO)
    assert table.find("z", Modifiers(shift=True, ctrl=True), over_pane=False) == Pressed(Command.REDO)
    assert table.find("d", NONE, over_pane=False) == Pressed(Command.PREVIOUS_FRAME)
    assert read_keys(tmp_path / "none.yaml").table == KeyTable().table


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("next_frame: k", "'k' is given to both"),
        ("next_fame: k", "there is no command 'next_fame'"),
        ("next_frame: hyper+x", "is no key"),
        ("- f", "expected a mapping"),
        ("a: [", "keys.yaml"),
    ],
)
def test_a_wrong_file_is_refused_in_words(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message.replace("[", r"\[")):
        read_keys(path)
