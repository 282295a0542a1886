"""``fleetlabel synth``: what it writes can be used, and what cannot be is said in one line."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fleetlabel.engine.cli import synthesising
from fleetlabel.engine.cli.app import main
from fleetlabel.engine.ingest import open_sequence
from fleetlabel.engine.synth import SynthConfig, SyntheticDrive, parse_fault
from fleetlabel.store import SequenceStore, describe, input_hash

TINY = ("--duration", 0.3, "--cameras", 1, "--size", "64x36", "--beams", 8, "--workers", 1)
FAULTS = ("--inject", "lost-sweeps:lidar=50%", "--inject", "pose-jump=0.5m")
Call = Callable[..., tuple[int, str, str]]


def calling(patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*arguments: object) -> tuple[int, str, str]:
        patch.setattr("sys.argv", ["fleetlabel", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture
def fleetlabel(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs the command line in this process: exit code, stdout, stderr."""
    return calling(monkeypatch, capsys)


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--duration", -3), r"--duration -3.0: .*greater"),
        (("--duration", 0), r"--duration 0.0"),
        (("--duration", "nan"), r"--duration nan"),
        (("--duration", "1e9"), r"--duration .*less"),
        (("--cameras", 0), r"--cameras 0"),
        (("--cameras", 13), r"--cameras 13: .*12"),
        (("--lidars", 5), r"--lidars 5: .*4"),
        (("--beams", 3), r"--beams 3: .*8"),
        (("--seed", -1), r"--seed -1"),
        (("--seed", 2**70), r"--seed \d+: "),
        (("--size", "20x20"), r"--size '20x20': .*32 to 4096"),
        (("--size", "960"), r"--size '960': expected WIDTHxHEIGHT"),
        (("--size", "90000x90000"), r"--size '90000x90000'"),
        (("--workers", 0), r"--workers 0: "),
        (("--inject", "fog=1"), r"'fog=1' is no fault; write one of .*camera-offset"),
        (("--inject", "frozen:roof=from:3"), r"no such sensor .*'front'"),
        (("--inject", "lost-sweeps:front=5%"), r"no such sensor .*'lidar'"),
        (("--inject", "frozen:front=soon"), r"'soon' is no amount of frozen"),
        (("--inject", "pose-jump=1m", "--inject", "pose-jump=2m"), r"twice"),
        (("--cameras", 0, "--beams", 3), r"--cameras 0.*; --beams 3"),
    ],
)
@pytest.mark.parametrize("store", [False, True])
def test_arguments_that_cannot_be_get_one_line_and_exit_code_2(
    fleetlabel: Call, tmp_path: Path, arguments: tuple[object, ...], message: str, store: bool
) -> None:
    code, out, errors = fleetlabel(
        "synth", "-o", tmp_path / "drive", *arguments, *(["--store"] if store else [])
    )
    assert code == 2
    assert re.search(message, errors), errors
    assert errors.startswith("error:")
    assert errors.count("\n") == 1
    assert "Traceback" not in errors
    assert not out
    assert not list(tmp_path.iterdir()), "nothing is left behind"


@pytest.mark.parametrize("arguments", [("--duration", "long"), ("--no-such-option",), ()])
def test_what_is_no_command_line_is_a_usage_error(fleetlabel: Call, arguments: tuple[str, ...]) -> None:
    code, _, errors = fleetlabel("synth", *arguments)
    assert code == 2
    assert "Traceback" not in errors


def test_what_is_there_already_is_kept(fleetlabel: Call, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("all of it")
    for options in ((), ("--overwrite",), ("--store",), ("--store", "--overwrite")):
        code, _, errors = fleetlabel("synth", "-o", mine, *TINY, *options)
        assert code in (1, 2)
        assert errors.count("\n") == 1, errors
        assert "mine" in errors
        assert [path.name for path in mine.rglob("*")] == ["thesis.txt"], options
    code, _, errors = fleetlabel("synth", "-o", mine / "thesis.txt" / "drive", *TINY)
    assert code in (1, 2)
    assert errors.count("\n") == 1, errors
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "thesis.txt"], "no scratch is left"


# --- what is made -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same drive as ``rig`` and, streamed, as ``streamed.zarr``."""
    folder = tmp_path_factory.mktemp("synth")
    for options in ((folder / "rig",), (folder / "streamed.zarr", "--store")):
        arguments = ("synth", "--seed", 3, *TINY, *FAULTS, "-o", *options)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["fleetlabel", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                main()
        assert not ended.value.code
    return folder


@pytest.mark.slow
def test_a_rig_folder_is_valid_and_ingests_to_what_is_streamed(
    made: Path, fleetlabel: Call, tmp_path: Path
) -> None:
    code, out, _ = fleetlabel("validate", made / "rig")
    assert code == 0, out
    assert "0 errors, 0 warnings" in out
    code, _, errors = fleetlabel("ingest", made / "rig", "--out", tmp_path / "drive.zarr")
    assert code == 0, errors
    ingested, streamed = (
        SequenceStore.open(path) for path in (tmp_path / "drive.zarr", made / "streamed.zarr")
    )
    assert [sensor.name for sensor in ingested.info.sensors] == ["front", "lidar"]
    assert ingested.info.name == streamed.info.name == "synth-3"
    assert np.array_equal(ingested.info.frame_timestamp_ns, streamed.info.frame_timestamp_ns)
    poses = [store.info.trajectory.world_from_ego for store in (ingested, streamed)]
    assert np.array_equal(*poses)
    for sensor in streamed.info.sensors:
        here, there = (store.sensor_table(sensor.name).read() for store in (ingested, streamed))
        assert np.array_equal(here.counts, there.counts)
        for columns in ("samples", "flat"):
            for name, values in getattr(there, columns).items():
                assert np.array_equal(getattr(here, columns)[name], values), (sensor.name, name)
    for store in (ingested, streamed):
        assert not store.sensor_table("front").missing()
        assert store.label_versions() == ("ground_truth",)
    for path in (tmp_path / "drive.zarr", made / "streamed.zarr"):
        code, out, errors = fleetlabel("verify", path)
        assert code == 0, errors
    # The description says where a store comes from; all tables are alike.
    hashes = [
        {table.path: table.content_hash for table in describe(store).tables} for store in (ingested, streamed)
    ]
    assert hashes[0] == hashes[1]
    assert input_hash(ingested) == input_hash(streamed)


@pytest.mark.slow
def test_the_commands_drive_is_the_librarys(made: Path, tmp_path: Path) -> None:
    config = SynthConfig(
        seed=3, duration_s=0.3, n_cameras=1, size_px=(64, 36), n_beams=8,
        faults=tuple(map(parse_fault, FAULTS[1::2])),
    )  # fmt: skip
    drive, rig = SyntheticDrive(config), open_sequence(made / "rig")
    assert rig.info.n_frames == 3
    for name in ("front", "lidar"):
        here, there = rig.read_sensor(name, 0, 3)[0], drive.read_sensor(name, 0, 3)[0]
        for column, values in there.flat.items():
            assert np.array_equal(here.flat[column], values)
    injected = rig.info.source["origin"]["injected"]
    assert [fault["kind"] for fault in injected] == ["lost-sweeps", "pose-jump"]


@pytest.mark.slow
def test_a_drive_that_is_there_is_kept(fleetlabel: Call, made: Path) -> None:
    before = (made / "rig" / "rig.yaml").read_bytes()
    code, _, errors = fleetlabel("synth", "-o", made / "rig", *TINY)
    assert code == 2, "a rig folder that is there is kept"
    assert "already exists" in errors
    code, _, errors = fleetlabel("synth", "-o", made / "streamed.zarr", *TINY, "--store")
    assert code == 1
    assert "exists" in errors
    assert (made / "rig" / "rig.yaml").read_bytes() == before


@pytest.mark.slow
def test_a_folder_is_replaced_if_that_is_said_and_the_command_tells_what_it_did(
    fleetlabel: Call, made: Path, tmp_path: Path
) -> None:
    shutil.copytree(made / "rig", tmp_path / "rig")
    options = (*TINY, *FAULTS, "--seed", 5, "--overwrite")
    code, said, errors = fleetlabel("synth", "-o", tmp_path / "rig", *options)
    assert code == 0, errors
    assert re.search(r"synth-5: 3 frames of 1 cameras in [\d.]+ s, [\d.]+ frames/s per camera", said)
    assert "broken on purpose: lost-sweeps of lidar 0.5" in said
    assert "broken on purpose: pose-jump 0.5" in said
    assert "next: fleetlabel run" in said
    assert [entry.name for entry in tmp_path.iterdir()] == ["rig"], "no scratch is left"
    assert open_sequence(tmp_path / "rig").info.name == "synth-5"


# --- stopped ----------------------------------------------------------------------------------------------------------


class _Stopping:
    """A progress bar at whose first step somebody presses Ctrl-C."""

    task_ids = (0,)

    def advance(self, *_: object) -> None:
        raise KeyboardInterrupt


@pytest.mark.slow
def test_stopped_and_called_again(fleetlabel: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = (*TINY[:1], 0.9, *TINY[2:])  # two tasks a sensor
    for path, options in ((tmp_path / "rig", ()), (tmp_path / "drive.zarr", ("--store",))):
        with monkeypatch.context() as patch:
            patch.setattr(synthesising, "part_bar", lambda *_: contextlib.nullcontext(_Stopping()))
            code, _, errors = fleetlabel("synth", "-o", path, *long, *options)
        assert code == 130
        assert "Traceback" not in errors
        assert "interrupted" in errors
        if options:
            store = SequenceStore.open(path)
            gaps = [store.sensor_table(sensor.name).missing() for sensor in store.info.sensors]
            assert any(gaps), "it is known what is missing"
            assert not store.label_versions(), "truth comes last"
            code, _, errors = fleetlabel("synth", "-o", path, *long, *options)
            assert (code, "exists" in errors) == (1, True), errors
            code, _, errors = fleetlabel("synth", "-o", path, *long, *options, "--overwrite")
            assert code == 0, errors
        else:
            assert not list(tmp_path.iterdir()), "a folder is there when it is complete"
    whole = SyntheticDrive(SynthConfig(duration_s=0.9, n_cameras=1, size_px=(64, 36), n_beams=8))
    store = SequenceStore.open(tmp_path / "drive.zarr")
    for name, column in (("front", "jpeg"), ("lidar", "points")):
        assert not store.sensor_table(name).missing()
        made, kept = whole.read_sensor(name, 0, 9)[0], store.sensor_table(name).read()
        assert np.array_equal(made.flat[column], kept.flat[column])


@pytest.mark.slow
def test_validate_tells_machines_too(made: Path, fleetlabel: Call) -> None:
    code, out, _ = fleetlabel("validate", made / "rig", "--json")
    assert (code, json.loads(out)) == (0, [])
