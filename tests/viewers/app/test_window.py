"""The app as a person uses it: in its window, with pointer and keyboard, killed in between."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fleetlabel.labels import Labels
from fleetlabel.store import SequenceStore
from fleetlabel.viewers.editor import commands
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.keys import KeyTable
from fleetlabel.viewers.editor.local_source import LocalSource
from fleetlabel.viewers.editor.window_layout import Panel
from fleetlabel.viewers.panels.panes_panel import draw_panes
from fleetlabel.viewers.panels.timeline_panel import draw_timeline
from viewers.app import hands
from viewers.app.corrections import Correction, corrections_of
from viewers.app.engines import Stand, Town
from viewers.app.hands import Drag, EditorHands, Input, Key, Wheel, click
from viewers.app.mistakes import TRACK, Street
from viewers.app.real_street import make_street, read_drive
from viewers.app.screen import App, missing_for_windows, virtual_display
from viewers.app.town import TOWN

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(bool(missing_for_windows()), reason=f"no windows here: {missing_for_windows()}"),
]
_soaked = pytest.mark.skipif(
    not os.environ.get("FLEETLABEL_SOAK_WINDOWS"), reason="takes eight minutes: make soak does it"
)
_KILLED_AFTER = ("wrong size", "one object twice", "late birth", "good as it is")


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    with virtual_display() as name:
        yield name


class Desk:
    """The app, and an editor without a window that looks at the same store and says where things are."""

    def __init__(self, root: Path, display: str, artifacts: Path) -> None:
        self.root, self.display, self.artifacts = root, display, artifacts
        self.store = SequenceStore.open(root)
        self.mirror = Editor(LocalSource(self.store, "Bob", "machine"), KeyTable())
        self.app = self._open()
        self.pictures = 0

    def _open(self) -> App:
        app = App(self.root, self.display, "--author", "Ann", "--labels", "machine")
        app.wait_until_drawn()
        return app

    def both(self, done: Input) -> None:
        EditorHands(self.mirror).do(done)
        self.app.do(done)
        self.catch_up()

    def catch_up(self) -> None:
        """The app has done what it was told: under load it lags, and presses are where the pointer is by then."""
        self.app.wait_for(
            lambda: self._is_shown(self.app.title()),
            f"the app shows {self.app.title()!r}, not {self.mirror.title!r}",
        )

    def _is_shown(self, title: str) -> bool:
        s = self.mirror.session
        if s.selected is None:  # the app may still show what the last correction was about
            same_frame = title.split(" - ")[0] == self.mirror.title.split(" - ")[0]
            return same_frame and s.enlarged in title
        return title == self.mirror.title

    def bring_up(self, correction: Correction) -> None:
        """The mistake is brought onto the screen."""
        wheel = Wheel(hands.list_top(self.mirror), 30)
        EditorHands(self.mirror).do(wheel)
        self.app.do(wheel)
        self.both(click(hands.timeline_at(self.mirror, correction.frame)))
        if correction.track is not None:
            for done in hands.scroll_to(self.mirror, TRACK[correction.track]):
                self.both(done)
            self.both(click(hands.list_row(self.mirror, TRACK[correction.track])))
            self.both(click(hands.timeline_at(self.mirror, correction.frame)))
        if correction.camera:
            commands.show_camera(self.mirror, correction.camera)
            self.app.enlarge(self.mirror.cameras.index(correction.camera) + 1)
            self.catch_up()

    def correct(self, correction: Correction) -> None:
        """The mistake is put right in the window; what the journal then holds is checked."""
        before = self.mirror.source.labels.sequence
        self.bring_up(correction)
        inputs = correction.inputs(self.mirror)
        assert len(inputs) <= 2
        for done in inputs:
            self.app.do(done)
        self.app.wait_for(lambda: self.refresh() > before, f"{correction.name}: nothing was saved")
        assert self.mirror.source.labels.sequence == before + 1
        correction.check(self.mirror.source.now)
        time.sleep(2.0)  # the screen follows the journal
        self.picture(correction.name)
        if correction.camera:
            self.app.enlarge(self.mirror.cameras.index(correction.camera) + 1)

    def refresh(self) -> int:
        self.mirror.source.refresh()
        self.mirror.session.selected = None
        commands.show_camera(self.mirror, "")
        return self.mirror.source.labels.sequence

    def picture(self, name: str) -> np.ndarray:
        self.pictures += 1
        return self.app.screenshot(self.artifacts / f"{self.pictures:02d} {name}.png")

    def kill_and_reopen(self) -> None:
        self.app.kill()
        self.app = self._open()
        self.start_again()

    def start_again(self) -> None:
        """The mirror is as the app is when it has just been opened."""
        self.mirror.close()
        self.mirror = Editor(LocalSource(self.store, "Bob", "machine"), KeyTable())

    def pixels_agree(self, correction: Correction) -> None:
        """What is on the screen is what the labels on the disk look like."""
        self.bring_up(correction)
        self.mirror.points.wait()
        self.mirror.pointer(hands.leave(self.mirror))
        self.app.do(click(hands.timeline_at(self.mirror, correction.frame)))
        wanted = {Panel.PANES: draw_panes(self.mirror), Panel.TIMELINE: draw_timeline(self.mirror)}

        def same() -> bool:
            screen = self.app.screenshot()
            places = self.mirror.layout.places
            return all(
                np.abs(screen[places[panel].window].astype(int) - picture).mean() < 0.5
                for panel, picture in wanted.items()
            )

        self.app.wait_for(same, f"the screen does not show {correction.name} as it is")


def _everything(root: Path, street: Street, display: str, artifacts: Path) -> None:
    desk = Desk(root, display, artifacts)
    corrections = corrections_of(street)
    for correction in corrections:
        desk.correct(correction)
        if correction.name in _KILLED_AFTER:
            desk.kill_and_reopen()
    # Killed with the box in the hand: nothing of that was said to be saved, and nothing is broken.
    desk.bring_up(corrections[0])
    saved = desk.mirror.source.labels.sequence
    start = hands.in_pane(desk.mirror, hands.Side.TOP, (0.6, 0.1, 0.0))
    desk.app.press(Drag(start, (start[0] + 40.0, start[1])))
    desk.kill_and_reopen()
    assert desk.refresh() == saved
    desk.pixels_agree(corrections[0])
    desk.picture("opened again")
    assert desk.app.close() == 128 + signal.SIGTERM
    labels = Labels.open(SequenceStore.open(root))
    assert labels.sequence == len(corrections)
    assert {record.author for record in labels.history.records} == {"Ann"}
    for correction in corrections:
        correction.check(labels.now)
    desk.mirror.close()


def _artifacts(name: str, otherwise: Path) -> Path:
    folder = Path(os.environ.get("FLEETLABEL_ARTIFACTS", otherwise)) / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@_soaked
def test_every_correction_in_the_window(town: Path, display: str, tmp_path: Path) -> None:
    root = tmp_path / "town.zarr"
    shutil.copytree(town, root)
    _everything(root, TOWN, display, _artifacts("town", tmp_path))


@_soaked
def test_every_correction_on_a_real_street(data_dir: Path, display: str, tmp_path: Path) -> None:
    root = tmp_path / "street.zarr"
    street = make_street(read_drive(data_dir / "pandaset_drive", root))
    _everything(root, street, display, _artifacts("street", tmp_path))


def test_the_window_on_an_engine_that_goes_away(
    town: Path, display: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = Stand(tmp_path, town)
    place = Town(stand, tmp_path / "people")
    mirror = place.open("bob")
    monkeypatch.setenv("FLEETLABEL_TOKEN", stand.token("ann"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    app = App(place.name, display, "--engine", stand.address, "--frame", str(mirror.session.frame))
    app.wait_until_drawn()
    mirror.select(TRACK["drifting"])
    app.do(click(hands.list_row(mirror, TRACK["drifting"])))
    app.wait_for(lambda: app.title() == mirror.title, "the object was not selected")
    stand.kill()
    app.do(Key("t"))
    time.sleep(2.0)
    folder = _artifacts("engine", tmp_path)
    app.screenshot(folder / "away.png")
    assert place.done() == []
    stand.begin()
    app.wait_for(lambda: place.done() == [("ann", ["set_stationary"])], "the edit was not sent")
    app.screenshot(folder / "back.png")
    assert app.close() == 128 + signal.SIGTERM
    assert "Traceback" not in app.output()
    place.close_all()
    stand.close()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"DISPLAY": ""}, "there is no display"),
        ({"DISPLAY": ":4711"}, "':4711' cannot be opened"),
        ({"VK_DRIVER_FILES": "/nowhere", "VK_ICD_FILENAMES": "/nowhere"}, "mesa-vulkan-drivers"),
    ],
)
def test_what_is_missing_is_said(
    town: Path, display: str, environment: dict[str, str], expected: str
) -> None:
    own = os.environ | {"DISPLAY": display} | environment
    own.pop("WAYLAND_DISPLAY", None)
    code = "from fleetlabel.engine.cli.app import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, "view", str(town)], env=own, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 2
    assert expected in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_as_its_frame_does(
    town: Path, display: str, tmp_path: Path, number: signal.Signals
) -> None:
    root = tmp_path / "town.zarr"
    shutil.copytree(town, root)
    app = App(root, display)
    app.wait_until_drawn()
    app.process.send_signal(number)
    assert app.process.wait(timeout=120) == 128 + number
    output = app.output()
    assert "Traceback" not in output
    assert "Fatal" not in output


def test_a_broken_store_is_said(town: Path, display: str, tmp_path: Path) -> None:
    root = tmp_path / "town.zarr"
    shutil.copytree(town, root)
    (root / "labels" / "machine" / "zarr.json").write_text("{")
    app = App(root, display)
    assert app.process.wait(timeout=120) == 1
    output = app.output()
    assert "error:" in output
    assert "Traceback" not in output
