"""Every standard correction by hand, without a window: at most two inputs, and the labels are as they should be."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetlabel.labels import Labels
from fleetlabel.store import SequenceStore
from fleetlabel.viewers.editor import commands
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.keys import KeyTable
from fleetlabel.viewers.editor.local_source import LocalSource
from viewers.app import hands
from viewers.app.corrections import Correction, corrections_of
from viewers.app.hands import EditorHands, click
from viewers.app.mistakes import TRACK
from viewers.app.real_street import make_street, read_drive
from viewers.app.town import TOWN

CORRECTIONS = corrections_of(TOWN)


@pytest.fixture
def editor(town: Path, tmp_path: Path) -> Iterator[Editor]:
    root = tmp_path / "town.zarr"
    shutil.copytree(town, root)
    editor = Editor(LocalSource(SequenceStore.open(root), "Ann"), KeyTable())
    yield editor
    editor.close()


def show(editor: Editor, correction: Correction) -> None:
    """Brings a mistake onto the screen, as a person does."""
    own = EditorHands(editor)
    own.do(click(hands.timeline_at(editor, correction.frame)))
    if correction.track is not None:
        object_id = TRACK[correction.track]
        for done in hands.scroll_to(editor, object_id):
            own.do(done)
        own.do(click(hands.list_row(editor, object_id)))
        own.do(click(hands.timeline_at(editor, correction.frame)))
        assert editor.session.selected == object_id
    if correction.camera:
        commands.show_camera(editor, correction.camera)
    assert editor.session.frame == correction.frame


@pytest.mark.parametrize("correction", CORRECTIONS, ids=lambda c: c.name.replace(" ", "-"))
def test_a_correction_takes_at_most_two_inputs(editor: Editor, correction: Correction) -> None:
    _correct(editor, correction)
    # What a process that starts now reads from the disk is what was on the screen.
    again = Labels.open(SequenceStore.open(editor.source.store.root))
    assert again.now.state == editor.source.now.state
    correction.check(again.now)


def _correct(editor: Editor, correction: Correction) -> None:
    before = editor.source.labels.sequence
    show(editor, correction)
    inputs = correction.inputs(editor)
    assert len(inputs) <= 2
    for done in inputs:
        EditorHands(editor).do(done)
    assert editor.source.labels.sequence == before + 1, editor.session.message
    assert editor.session.saved.startswith("Saved")
    correction.check(editor.source.now)


@pytest.mark.slow
def test_all_of_them_on_a_real_street(data_dir: Path, tmp_path: Path) -> None:
    """Ground truth of the real sample, spoilt in more than twenty places and mended by hand."""
    store = read_drive(data_dir / "pandaset_drive", tmp_path / "street.zarr")
    street = make_street(store)
    editor = Editor(LocalSource(store, "Ann", "machine"), KeyTable())
    for correction in corrections_of(street):
        _correct(editor, correction)
        commands.show_camera(editor, "")
    editor.close()


def test_there_are_at_least_twenty() -> None:
    assert len({correction.name for correction in CORRECTIONS}) >= 20


def test_undo_takes_each_back(editor: Editor) -> None:
    before = editor.source.now.state
    for correction in CORRECTIONS[:4]:
        show(editor, correction)
        for done in correction.inputs(editor):
            EditorHands(editor).do(done)
    assert editor.source.now.state != before
    for _ in range(4):
        EditorHands(editor).do(hands.Key("z", ("ctrl",)))
    assert editor.source.now.state == before
    for _ in range(4):
        EditorHands(editor).do(hands.Key("z", ("ctrl", "shift")))
    for correction in CORRECTIONS[:4]:
        correction.check(editor.source.now)
