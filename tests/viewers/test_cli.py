from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from fleetlabel.model.errors import FleetLabelError, StoreNotFoundError, UsageError
from fleetlabel.store import SequenceStore
from fleetlabel.viewers.cli import render
from viewers.synthetic_drive import CLASS_NAMES, Drive, cuboids, make_store

MakeStore = Callable[[Drive], SequenceStore]
APP = typer.Typer(pretty_exceptions_enable=False)
APP.command()(render)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SequenceStore:
    drive = Drive(cameras=("front", "back"), boxes3d=cuboids([0, 1, 2, 3], [(14, 1, 0.75)] * 4))
    made = make_store(tmp_path_factory.mktemp("drive") / "drive.zarr", drive)
    made.write_labels(
        "ground_truth", {}, cuboids([0, 3], [(14, -1, 0.75)] * 2), class_names=CLASS_NAMES, provenance={}
    )
    return made


def run(*arguments: object) -> str:
    """Runs the command; raises what it raises."""
    result = CliRunner().invoke(APP, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_frame_as_a_picture(store: SequenceStore, tmp_path: Path) -> None:
    assert run(store.root, "--frame", 2, "--out", tmp_path / "two.png", "--width", 800) == ""
    picture = cv2.imread(str(tmp_path / "two.png"))
    assert picture.shape[1] == 800
    run(store.root, "--out", tmp_path / "zero.png", "--width", 800)
    assert (cv2.imread(str(tmp_path / "zero.png")) != picture).any(), "the first frame by default"


def test_all_frames_as_a_video(store: SequenceStore, tmp_path: Path) -> None:
    run(store.root, "-o", tmp_path / "all.mp4", "--width", 640)
    run(store.root, "-o", tmp_path / "some.mp4", "--width", 640, "--frames", "1:3")
    for name, count in (("all.mp4", 4), ("some.mp4", 2)):
        with av.open(str(tmp_path / name)) as container:
            assert len(list(container.decode(video=0))) == count
            assert container.streams.video[0].width == 640
            assert container.streams.video[0].average_rate == 10


def test_what_is_shown_can_be_chosen(store: SequenceStore, tmp_path: Path) -> None:
    variants = {
        "default": [],
        "labels": ["--labels", "ground_truth"],
        "against": ["--against", "ground_truth"],
        "cameras": ["--cameras", "back,front"],
        "camera": ["--cameras", "back"],
        "radius": ["--radius", 20],
        "no points": ["--no-points"],
        "track": ["--color", "track"],
    }
    seen = []
    for name, options in variants.items():
        run(store.root, "-o", tmp_path / f"{name}.png", "--width", 640, *options)
        seen.append(cv2.imread(str(tmp_path / f"{name}.png")))
    for row, (name, picture) in enumerate(zip(variants, seen, strict=True)):
        same = [picture.shape == other.shape and not (picture != other).any() for other in seen[:row]]
        assert any(same) is (name == "cameras"), "cameras go where they look, however they are named"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["-o", "x.gif"], UsageError, r"neither a picture \(.png, .jpg, .jpeg\) nor a video \(.mp4\)"),
        (["-o", "x"], UsageError, "neither a picture"),
        (["-o", "x.png", "--frame", 4], UsageError, r"frames 0\.\.3, no frame 4"),
        (["-o", "x.png", "--frame", -1], UsageError, "no frame -1"),
        (["-o", "x.png", "--frames", "0:2"], UsageError, "use --frame, or a .mp4"),
        (["-o", "x.mp4", "--frame", 2], UsageError, "use --frames 2:3, or a .png"),
        (["-o", "x.mp4", "--frames", "2:9"], UsageError, "has frames 0:4"),
        (["-o", "x.mp4", "--frames", "3:3"], UsageError, "is empty"),
        (["-o", "x.mp4", "--frames", "3"], UsageError, "is not A:B"),
        (["-o", "x.png", "--labels", "human"], StoreNotFoundError, "no labels 'human'"),
        (["-o", "x.png", "--against", "human"], StoreNotFoundError, "no labels 'human'"),
        (["-o", "x.png", "--against", "machine"], UsageError, "shown already"),
        (["-o", "x.png", "--cameras", "front,roof"], UsageError, "no camera 'roof'"),
        (["-o", "x.png", "--width", 10], UsageError, r"outside 480\.\.7680"),
        (["-o", "x.png", "--radius", 0], UsageError, r"outside 2\.\.1000"),
    ],
)
def test_mistakes_are_explained(
    store: SequenceStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[object],
    error: type[FleetLabelError],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error, match=message):
        run(store.root, *arguments)
    assert sorted(tmp_path.iterdir()) == before, "nothing is left behind"


def test_a_store_without_labels_and_a_folder_that_is_no_store(store_of: MakeStore, tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="has no labels yet"):
        run(store_of(Drive(labels=False)).root, "-o", tmp_path / "x.png")
    with pytest.raises(StoreNotFoundError, match="is not a FleetLabel store"):
        run(tmp_path / "nowhere.zarr", "-o", tmp_path / "x.png")


def test_the_newest_machine_version_comes_before_ground_truth(store: SequenceStore, tmp_path: Path) -> None:
    run(store.root, "-o", tmp_path / "default.png", "--width", 640)
    run(store.root, "-o", tmp_path / "machine.png", "--width", 640, "--labels", "machine")
    np.testing.assert_array_equal(
        cv2.imread(str(tmp_path / "default.png")), cv2.imread(str(tmp_path / "machine.png"))
    )


def test_naming_the_command_loads_nothing_heavy() -> None:
    heavy = ["cv2", "av", "open3d", "torch", "fleetlabel.engine"]
    script = f"import sys, fleetlabel.viewers.cli; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
