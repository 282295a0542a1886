"""The app on an engine elsewhere: nothing is lost or done twice, whoever dies, and conflicts are decided by people."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fleetlabel.labels import edits as e
from fleetlabel.model.errors import FleetLabelError
from fleetlabel.store import SequenceStore
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.local_source import LocalSource
from fleetlabel.viewers.editor.panes import Side
from fleetlabel.viewers.editor.session import Tone
from fleetlabel.viewers.remote.outbox import Outbox, Pending
from pipeline.conftest import fleetlabel as fleetlabel
from viewers.app import hands
from viewers.app.corrections import corrections_of
from viewers.app.engines import Stand, Town, all_sent, tick_until
from viewers.app.hands import Drag, EditorHands, Key
from viewers.app.mistakes import MIDDLE, TRACK
from viewers.app.test_corrections import show
from viewers.app.town import TOWN


@pytest.fixture(scope="module")
def engine(town: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    stand = Stand(tmp_path_factory.mktemp("engine"), town)
    yield stand
    stand.close()


@pytest.fixture
def stand(engine: Stand) -> Stand:
    engine.begin()
    return engine


@pytest.fixture
def place(stand: Stand, tmp_path: Path) -> Iterator[Town]:
    """A town of the test's own."""
    place = Town(stand, tmp_path)
    yield place
    place.close_all()


def press(editor: Editor, *keys: Key) -> None:
    for key in keys:
        EditorHands(editor).do(key)


def pull(editor: Editor) -> None:
    """The selected box is dragged half a metre to the right."""
    start = hands.in_pane(editor, Side.TOP, (0.6, 0.1, 0.0))
    stop = hands.in_pane(editor, Side.TOP, (0.6, -0.6, 0.0))
    EditorHands(editor).do(Drag(start, stop))


def test_every_correction_reaches_the_engine(stand: Stand, place: Town) -> None:
    editor = place.open()
    corrections = corrections_of(TOWN)
    for correction in corrections:
        show(editor, correction)
        inputs = correction.inputs(editor)
        assert len(inputs) <= 2
        for done in inputs:
            EditorHands(editor).do(done)
        assert editor.session.saved.startswith("Saved"), (correction.name, editor.session.message)
        tick_until(editor, lambda: all_sent(editor))
        press(editor, Key("escape"), Key("escape"))
    labels = place.labels
    assert len(labels.history.records) == len(corrections)
    for correction in corrections:
        correction.check(labels.now)
    assert editor.source.now.state == labels.now.state
    for item in labels.now.state:  # the boxes on the screen are the engine's, to the last bit
        object_id = item.object_id
        tick_until(editor, lambda i=object_id: _same_boxes(editor.source.boxes(i), labels.now.boxes(i)))


def _same_boxes(one: object, two: object) -> bool:
    return all(
        np.array_equal(getattr(one.cuboids, name), getattr(two.cuboids, name))
        for name in ("frame", "center_m", "size_lwh_m", "q_wxyz")
    )


@pytest.mark.slow
def test_an_engine_that_goes_away_loses_no_edit(stand: Stand, place: Town) -> None:
    editor = place.open()
    editor.select(TRACK["shifted"])
    pull(editor)
    stand.kill()
    press(editor, Key("t"), Key("g", (), hands.in_pane(editor, Side.TOP, (0.0, 0.0, 0.0))))
    assert editor.session.saved.startswith("Saved")
    tick_until(editor, lambda: bool(editor.source.standing.away))
    assert "no engine answers" in editor.session.message.text
    assert editor.session.message.tone is Tone.PROBLEM
    editor.select(TRACK["misnamed"])
    press(editor, Key("1"), Key("z", ("ctrl",)), Key("z", ("ctrl", "shift")))
    state = editor.source.now.state
    assert editor.source.standing.unsent >= 5
    stand.begin()
    tick_until(editor, lambda: all_sent(editor))
    assert editor.session.message.text == "The engine is back"
    done = [did for _, did in place.done()]
    assert done == [
        ["set_keyframe_3d"],
        ["set_stationary"],
        ["flip_heading"],
        ["set_class"],
        ["restore"],
        ["restore"],
    ]
    assert place.labels.now.state == editor.source.now.state == state


@pytest.mark.slow
def test_an_app_that_is_killed_before_it_sends_loses_no_edit(
    stand: Stand, place: Town, tmp_path: Path
) -> None:
    program = "import sys; from viewers.app.engines import edit_and_wait; edit_and_wait(*sys.argv[1:])"
    arguments = [stand.address, stand.token("ann"), place.name, str(tmp_path / "ann")]
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as app:
        assert app.stdin is not None
        assert app.stdout is not None
        assert app.stdout.readline() == "open\n"
        stand.kill()
        app.stdin.write("edit\n")
        app.stdin.flush()
        assert app.stdout.readline() == "saved\n"
        app.send_signal(signal.SIGKILL)
    # Whoever opens it while the engine is away is told what waits.
    with pytest.raises(FleetLabelError, match="2 edits of yours wait here to be sent"):
        place.open()
    stand.begin()
    editor = place.open()
    assert editor.source.now[TRACK["drifting"]].stationary
    tick_until(editor, lambda: all_sent(editor))
    made = [["create_object", "set_keyframe_3d"], ["set_stationary"]]
    assert place.done() == [("ann", did) for did in made]
    assert editor.source.now.state == place.labels.now.state


def test_what_the_engine_had_already_is_not_sent_again(place: Town, tmp_path: Path) -> None:
    editor, here = place.open(), 1 << 61
    new = (
        e.CreateObject(object_id=here, class_name="car"),
        e.SetKeyframe3D(
            object_id=here, frame=3, center_m=(1.0, 2.0, 0.8), yaw_rad=0.0, size_lwh_m=(4, 2, 1.5)
        ),
    )
    editor.source.commit(new, active_ms=1, request_id="new")
    tick_until(editor, lambda: all_sent(editor))
    record = editor.source.labels.history.records[0]
    place.close(editor)
    # As an app leaves its outbox that died before it heard of the answer, and went on with what it had made.
    outbox = Outbox.open(tmp_path / "ann" / "outbox" / "ann")
    outbox.keep(Pending(replace(record, edits=new), 0))
    moved = e.SetStationary(object_id=here, stationary=True)
    outbox.keep(Pending(replace(record, edits=(moved,), request_id="moved"), 0))
    outbox.close()
    again = place.open()
    tick_until(again, lambda: all_sent(again))
    kinds = [["create_object", "set_keyframe_3d"], ["set_stationary"]]
    assert place.done() == [("ann", did) for did in kinds]
    assert place.labels.now[record.edits[0].object_id].stationary
    assert again.source.now.state == place.labels.now.state


@pytest.mark.parametrize("decision", ["enter", "escape"])
def test_two_people_on_one_track_are_shown_both_sides(stand: Stand, place: Town, decision: str) -> None:
    ann, bob = place.open("ann"), place.open("bob")
    for editor in (ann, bob):
        editor.select(TRACK["shifted"])
    press(bob, Key("g", (), hands.in_pane(bob, Side.TOP, (0.0, 0.0, 0.0))))
    tick_until(bob, lambda: all_sent(bob))
    pull(ann)  # on what she sees, which is not what Bob left
    tick_until(ann, lambda: ann.session.clash is not None)
    clash = ann.session.clash
    assert clash is not None
    assert clash.refused.conflicts[0].author == "bob"
    assert clash.mine is not None
    assert clash.theirs is not None
    assert "bob changed this meanwhile (flip heading)" in ann.session.message.text
    assert MIDDLE not in ann.source.now[TRACK["shifted"]].poses
    ann.select(TRACK["misnamed"])
    press(ann, Key("1"))  # work goes on meanwhile, and is sent after the decision
    assert ann.session.saved.startswith("Saved")
    tick_until(ann, lambda: ann.source.standing.unsent == 2)
    assert ann.session.selected == TRACK["misnamed"]
    assert ann.session.clash is clash
    press(ann, Key(decision))
    tick_until(ann, lambda: all_sent(ann))
    item = place.labels.now[TRACK["shifted"]]
    assert item.flipped
    assert (MIDDLE in item.poses) is (decision == "enter")
    tick_until(bob, lambda: bob.source.now.state == ann.source.now.state)
    assert [author for author, _ in place.done()] == ["bob", *["ann"] * (1 + (decision == "enter"))]


@pytest.mark.slow
def test_others_edits_of_other_objects_are_no_conflict(stand: Stand, place: Town) -> None:
    ann, bob = place.open("ann"), place.open("bob")
    stand.kill()
    for editor, track in ((ann, "shifted"), (bob, "drifting")):
        editor.select(TRACK[track])
        press(editor, Key("t"), Key("k"))
    stand.begin()
    for editor in (ann, bob):
        tick_until(editor, lambda editor=editor: all_sent(editor))
    tick_until(ann, lambda: ann.source.now.state == bob.source.now.state)
    assert ann.session.clash is bob.session.clash is None
    assert len(place.done()) == 4
    assert ann.source.others() == ("bob",)


@pytest.mark.slow
def test_a_new_object_keeps_its_place_when_the_engine_names_it(stand: Stand, place: Town) -> None:
    ann, bob = place.open("ann"), place.open("bob")
    ann.select(TRACK["swapped too"])
    stand.kill()
    missing = next(c for c in corrections_of(TOWN) if c.name == "missing object")
    show(ann, missing)
    for done in missing.inputs(ann):
        EditorHands(ann).do(done)
    here = ann.session.selected
    pull(ann)
    stand.begin()
    bob.select(TRACK["drifting"])
    press(bob, Key("m", ("alt",)))  # makes an object, too
    for editor in (ann, bob):
        tick_until(editor, lambda editor=editor: all_sent(editor))
    assert ann.session.selected != here
    assert ann.source.now.class_of(ann.session.selected) == "car"
    tick_until(ann, lambda: ann.source.now.state == bob.source.now.state)
    assert ann.session.selected in place.labels.now.object_ids


def test_an_object_that_somebody_deleted_cannot_be_saved_over(stand: Stand, place: Town) -> None:
    ann, bob = place.open("ann"), place.open("bob")
    for editor in (ann, bob):
        editor.select(TRACK["shifted"])
    press(bob, Key("delete"))
    tick_until(bob, lambda: all_sent(bob))
    pull(ann)
    tick_until(ann, lambda: ann.session.clash is not None)
    press(ann, Key("enter"))
    assert "cannot be saved any more" in ann.session.message.text
    press(ann, Key("escape"))
    tick_until(ann, lambda: all_sent(ann))
    assert place.done() == [("bob", ["delete_object"])]


@pytest.mark.slow
def test_frames_come_over_the_network(stand: Stand, place: Town, town: Path) -> None:
    editor, local = place.open(), LocalSource(SequenceStore.open(town), "ann")
    for frame in (0, MIDDLE):
        for name in local.sensors.camera_names:
            one, two = editor.source.sensors.picture(name, frame), local.sensors.picture(name, frame)
            assert one.jpeg == two.jpeg
            assert (one.timestamp_ns, one.problem) == (two.timestamp_ns, "")
            assert np.array_equal(one.world_from_camera, two.world_from_camera)
        assert np.array_equal(editor.source.sensors.cloud(frame).world_m, local.sensors.cloud(frame).world_m)
    stand.kill()
    editor.cache.forget_problems()
    editor.go(20)
    tick_until(editor, lambda: editor.cache.pictures(20)["front"].problem == "the engine does not answer")
    tick_until(editor, lambda: "no engine answers" in editor.cache.cloud(20).problem)
    tick_until(editor, lambda: bool(editor.source.standing.away))
    stand.begin()
    tick_until(editor, lambda: editor.cache.there(20) and not editor.cache.pictures(20)["front"].problem)
    assert len(editor.cache.cloud(20).world_m) > 1000


def test_people_are_sent_to_different_objects(place: Town) -> None:
    ann, bob = place.open("ann"), place.open("bob")
    for editor in (ann, bob):
        editor.source.build_queue()
        press(editor, Key("tab"))
    one, two = ann.session.item, bob.session.item
    assert one is not None
    assert two is not None
    assert one.object_id != two.object_id
    press(ann, Key("enter"))
    assert ann.session.item is not None
    assert ann.session.item.object_id not in (one.object_id, two.object_id)
    tick_until(ann, lambda: all_sent(ann))


def test_two_windows_of_one_person_keep_two_outboxes(stand: Stand, place: Town) -> None:
    one, two = place.open("ann"), place.open("ann")
    one.select(TRACK["shifted"])
    two.select(TRACK["drifting"])
    press(one, Key("t"))
    press(two, Key("t"))
    for editor in (one, two):
        tick_until(editor, lambda editor=editor: all_sent(editor))
    assert len(place.done()) == 2


def test_the_command_says_in_one_line_why_it_cannot_begin(
    stand: Stand,
    tmp_path: Path,
    fleetlabel: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("FLEETLABEL_TOKEN", stand.token("ann"))
    for options, expected in (
        (("--engine", "nonsense", "town.zarr"), "is no address of an engine"),
        (("--engine", stand.address, "nowhere.zarr"), "nowhere"),
        (("--engine", "127.0.0.1:1", "town.zarr"), "no engine answers at 127.0.0.1:1"),
        (("--engine", stand.address, "--author", "bob", "town.zarr"), "by the token who edits"),
        (("--token-file", "token", "town.zarr"), "go with --engine"),
    ):
        code, _, told = fleetlabel("view", *options)
        assert code in (1, 2)
        assert expected in told, told
        assert "Traceback" not in told


@pytest.mark.slow
def test_an_engine_that_is_not_there_is_said(stand: Stand, place: Town) -> None:
    stand.kill()
    with pytest.raises(FleetLabelError, match="no engine answers"):
        place.open()
    stand.begin()
    place.name = "nowhere.zarr"
    with pytest.raises(FleetLabelError, match="nowhere"):
        place.open()
