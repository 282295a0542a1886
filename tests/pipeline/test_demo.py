"""The demo does the whole job in an empty folder, can be called again, and says nothing that does not work."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetlabel.engine.cli import demo
from fleetlabel.engine.detect.bundled import BUNDLED
from fleetlabel.engine.synth import SynthConfig
from fleetlabel.model.errors import InterruptedRunError, UsageError
from fleetlabel.store import SequenceStore, describe

SMALL = SynthConfig(seed=5, duration_s=2.0, n_cameras=2, size_px=(384, 216), n_beams=16, n_columns=256)
TINY = SMALL.model_copy(update={"duration_s": 0.3, "n_cameras": 1})
MODEL = Path(BUNDLED)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("demos") / "my demo"  # a blank, for the commands
    demo.make_demo(made, SMALL, MODEL)
    return made


@pytest.mark.slow
def test_a_folder_gets_a_drive_labels_and_a_page(folder: Path) -> None:
    store = SequenceStore.open(folder / "drive.zarr")
    assert store.info.n_frames == 20
    assert len(store.label_versions()) == 2, "ours and the truth"
    page = (folder / "report.html").read_text()
    assert "synth-5" in page
    assert "AP@2m" in page, "it was measured"
    assert {path.name for path in folder.iterdir()} == {
        *("demo.json", "drive", "drive.zarr", "drive.ledger.json", "report.html")
    }


@pytest.mark.slow
def test_a_second_call_finds_everything_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = describe(SequenceStore.open(folder / "drive.zarr")).content_hash
    demo.make_demo(folder, SMALL, MODEL)
    assert capsys.readouterr().out.count("there already") == 2
    assert describe(SequenceStore.open(folder / "drive.zarr")).content_hash == before
    assert json.loads((folder / "drive.ledger.json").read_text())["stages"], (
        "the ledger of the run that did it"
    )


@pytest.mark.slow
def test_every_command_that_it_prints_works(
    folder: Path, fleetlabel: Callable[..., tuple[int, str, str]]
) -> None:
    commands = [shlex.split(line) for line in demo.what_next(folder) if line.startswith("  ")]
    own = commands[0].index("render")  # words that call the program
    said = [command[own:] for command in commands if "YOUR_DRIVE" not in command]
    assert [words[0] for words in said] == ["render", "render", "eval", "export", "info", "validate"]
    for words in said:
        code, _, errors = fleetlabel(*words)
        assert code == 0, (words, errors)
    assert (folder / "frame.png").exists()
    assert (folder / "clip.mp4").exists()


@pytest.mark.slow
def test_a_call_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for step in ("write_page", "_label", "_generate"):
        with monkeypatch.context() as patch:
            patch.setattr(demo, step, stopped)
            with pytest.raises(InterruptedRunError, match="the same command goes on"):
                demo.make_demo(tmp_path / "demo", TINY, MODEL)
        demo.make_demo(tmp_path / "demo", TINY, MODEL)
        assert (tmp_path / "demo" / "report.html").exists()


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").touch()
    with pytest.raises(UsageError, match="is no demo; give another --out"):
        demo.make_demo(tmp_path / "photos", TINY, MODEL)
    with pytest.raises(UsageError, match="is no demo"):
        demo.make_demo(tmp_path / "photos" / "one.jpg", TINY, MODEL)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "demo.json").write_text(json.dumps({"drive": {"seed": 3}}))
    with pytest.raises(UsageError, match="holds the demo of another drive"):
        demo.make_demo(tmp_path / "demo", TINY, MODEL)
