"""Nothing is lost, nothing is said to be saved that is not, and what goes wrong is said in the window."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fleetlabel.labels import Labels, Snapshot
from fleetlabel.labels import edits as e
from fleetlabel.model.errors import StoreWriteError
from fleetlabel.store import SequenceStore
from fleetlabel.viewers.editor import commands
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.keys import KeyTable
from fleetlabel.viewers.editor.local_source import LocalSource
from fleetlabel.viewers.editor.panes import Side
from fleetlabel.viewers.editor.pointing import PointerEvent
from fleetlabel.viewers.editor.session import Tone
from fleetlabel.viewers.editor.window_layout import Panel
from fleetlabel.viewers.panels import theme
from fleetlabel.viewers.panels.clash_panel import draw_clash
from viewers.app import hands
from viewers.app.hands import Drag, EditorHands, Key
from viewers.app.mistakes import MIDDLE, TRACK


@pytest.fixture
def editor(town: Path, tmp_path: Path) -> Iterator[Editor]:
    root = tmp_path / "town.zarr"
    shutil.copytree(town, root)
    editor = Editor(LocalSource(SequenceStore.open(root), "Ann"), KeyTable())
    editor.go(MIDDLE)
    editor.select(TRACK["shifted"])
    yield editor
    editor.close()


def press(editor: Editor, *keys: Key) -> None:
    for key in keys:
        EditorHands(editor).do(key)


def other_labels(editor: Editor) -> Labels:
    return Labels.open(SequenceStore.open(editor.source.store.root))


def test_a_disk_that_refuses_is_said_and_nothing_is_shown_as_saved(
    editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreWriteError("no space left on the disk")

    monkeypatch.setattr(editor.source.labels, "commit", full)
    press(editor, Key("t"))
    assert editor.session.saved == "Not saved"
    assert "no space left" in editor.session.message.text
    assert editor.source.now[TRACK["shifted"]].stationary is None


def test_a_failed_solution_keeps_the_keyframe_and_says_so(
    editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = editor.source.boxes(TRACK["shifted"]).cuboids
    solve = Snapshot.boxes

    def fails(self: Snapshot, object_id: int):
        if object_id == TRACK["shifted"]:
            raise ArithmeticError("matrix is singular")
        return solve(self, object_id)

    monkeypatch.setattr(Snapshot, "boxes", fails)
    press(editor, Key("k"))
    assert "could not be solved: matrix is singular" in editor.session.message.text
    assert editor.session.message.tone is Tone.PROBLEM
    monkeypatch.undo()
    assert MIDDLE in other_labels(editor).now[TRACK["shifted"]].poses
    shown = editor.source.cuboids_at(MIDDLE, MIDDLE + 1)
    assert len(before) == 24
    assert TRACK["shifted"] in shown.track_id


def test_others_edits_of_the_same_object_are_shown_side_by_side(editor: Editor) -> None:
    other_labels(editor).commit([e.FlipHeading(object_id=TRACK["shifted"])], author="Bob")
    start = hands.in_pane(editor, Side.TOP, (0.6, 0.1, 0.0))
    EditorHands(editor).do(Drag(start, (start[0] + 13.0, start[1])))
    clash = editor.session.clash
    assert clash is not None
    assert clash.refused.conflicts[0].author == "Bob"
    assert clash.mine is not None
    assert "Bob changed this meanwhile" in editor.session.message.text
    assert editor.source.labels.sequence == 1
    press(editor, Key("enter"))
    item = other_labels(editor).now[TRACK["shifted"]]
    assert item.flipped
    assert MIDDLE in item.poses


@pytest.mark.parametrize(("side", "mine"), [(0.25, False), (0.75, True)])
def test_a_conflict_is_drawn_side_by_side_and_decided_by_a_click(
    editor: Editor, side: float, mine: bool
) -> None:
    other_labels(editor).commit([e.FlipHeading(object_id=TRACK["shifted"])], author="Bob")
    start = hands.in_pane(editor, Side.TOP, (0.6, 0.1, 0.0))
    EditorHands(editor).do(Drag(start, (start[0] + 30.0, start[1])))
    picture, place = draw_clash(editor), editor.layout.places[Panel.MAIN]
    assert picture.shape == (place.height, place.width, 3)
    left, right = picture[:, : place.width // 2], picture[:, -(place.width // 2) :]
    for half, color, other in ((left, theme.PROBLEM, theme.ACCENT), (right, theme.ACCENT, theme.PROBLEM)):
        assert (half == color).all(axis=2).sum() > 500
        assert not (half == other).all(axis=2).any()
    EditorHands(editor).do(hands.click((place.x + side * place.width, place.y + place.height / 2)))
    assert editor.session.clash is None
    item = other_labels(editor).now[TRACK["shifted"]]
    assert item.flipped
    assert (MIDDLE in item.poses) is mine


def test_theirs_is_kept_on_escape(editor: Editor) -> None:
    other_labels(editor).commit([e.FlipHeading(object_id=TRACK["shifted"])], author="Bob")
    press(editor, Key("t"), Key("escape"))
    assert editor.session.clash is None
    assert other_labels(editor).sequence == 1


def test_news_of_others_arrive_by_themselves(editor: Editor) -> None:
    other_labels(editor).commit([e.DeleteObject(object_id=TRACK["shifted"])], author="Bob")
    editor.tick(100.0)
    assert editor.session.selected is None
    assert editor.source.others() == ("Bob",)


def test_a_locked_object_is_not_changed(editor: Editor) -> None:
    press(editor, Key("l"), Key("delete"))
    assert editor.source.labels.sequence == 0
    assert "is locked" in editor.session.message.text
    press(editor, Key("l"), Key("delete"))
    assert editor.source.now.state.get(TRACK["shifted"]) is None


def test_held_keys_move_the_box_and_make_one_edit(editor: Editor) -> None:
    at = hands.in_pane(editor, Side.TOP, (0.0, 0.0, 0.0))
    editor.pointer(PointerEvent("move", *at))
    editor.key_down("d")
    for _ in range(6):
        editor.key_down("d", repeat=True)
    assert editor.source.labels.sequence == 0
    assert editor.shown_pose() != editor.committed_pose()
    editor.key_up("d")
    assert editor.source.labels.sequence == 1
    box = editor.committed_pose()
    assert box is not None
    assert np.allclose(box.center_m, (8.0, 6.0, 0.8), atol=1e-6)


def test_escape_lets_go_without_an_edit(editor: Editor) -> None:
    at = hands.in_pane(editor, Side.TOP, (0.6, 0.1, 0.0))
    editor.pointer(PointerEvent("move", *at))
    editor.pointer(PointerEvent("down", *at))
    editor.pointer(PointerEvent("drag", at[0] + 20, at[1]))
    press(editor, Key("escape"))
    editor.pointer(PointerEvent("up", at[0] + 20, at[1]))
    assert editor.source.labels.sequence == 0
    assert editor.shown_pose() == editor.committed_pose()


def test_a_fault_of_ours_is_shown_and_ends_nothing(editor: Editor, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Editor) -> None:
        raise RuntimeError("oops")

    monkeypatch.setitem(commands._COMMANDS, commands.Command.BEST_FRAME, broken)
    editor.key_down("x")
    assert "Internal error, nothing was lost: RuntimeError: oops" in editor.session.message.text
    editor.key_up("x")
    press_count = editor.source.labels.sequence
    editor.last_fault = None
    press(editor, Key("t"))
    assert editor.source.labels.sequence == press_count + 1


def test_the_queue_leads_to_a_box_and_says_why(editor: Editor) -> None:
    editor.source.build_queue()
    press(editor, Key("tab"))
    item = editor.session.item
    assert item is not None
    assert (editor.session.selected, editor.session.frame) == (item.object_id, item.frame)
    assert item.reason in editor.session.message.text
    press(editor, Key("enter"))
    assert editor.source.now[item.object_id].accepted.at(item.frame)
    assert editor.session.item != item


def test_frames_are_fetched_ahead(editor: Editor) -> None:
    for frame in range(MIDDLE, MIDDLE + 5):
        editor.cache.pictures(frame)
        editor.cache.cloud(frame)
    assert editor.cache.there(MIDDLE + 3)


def test_play_goes_on_until_the_end(editor: Editor) -> None:
    press(editor, Key("space"))
    now = 0.0
    for _ in range(400):
        now += 0.2
        editor.cache.cloud(min(editor.session.frame + 1, 23))
        editor.cache.pictures(min(editor.session.frame + 1, 23))
        editor.tick(now)
    assert editor.session.frame == 23
    assert not editor.session.playing
