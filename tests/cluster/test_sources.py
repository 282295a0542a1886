"""What a fleet consists of, and what its stores are called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.engine.fleet.root import FleetRoot
from fleetlabel.engine.fleet.sources import Drive, find_drives, is_one_drive
from fleetlabel.engine.ingest import open_sequence
from fleetlabel.engine.ingest.rig_writer import write_rig
from fleetlabel.engine.ingest.testing import Scene, write_kitti, write_pandaset
from fleetlabel.model.errors import UsageError

TINY = Scene(n_frames=1, n_objects=1)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``monday/a``, ``tuesday/a``, ``kitti`` with two sequences, ``junk`` that is none."""
    folder = tmp_path_factory.mktemp("logs")
    for name in ("monday/a", "tuesday/a"):
        write_pandaset(folder / name, TINY)
    for sequence in ("0000", "0001"):
        write_kitti(folder / "kitti", TINY, sequence=sequence)
    (folder / "junk").mkdir()
    (folder / "junk" / "notes.txt").write_text("nothing")
    return folder


def found(*sources: str | Path) -> list[tuple[str, str]]:
    return [(drive.source.name, drive.sequence) for drive in find_drives(sources) if drive.problem is None]


def test_folders_globs_and_lists_name_the_same_drives(logs: Path, tmp_path: Path) -> None:
    everything = [("a", "a"), ("a", "a"), ("kitti", "0000"), ("kitti", "0001")]
    assert sorted(found(logs)) == everything
    assert sorted(found(f"{logs}/*day", logs / "kitti")) == everything
    assert sorted(found(f"{logs}/*day/a", logs / "kitti", logs)) == everything, "each drive once"
    listed = logs / "drives.txt"
    listed.write_text("monday/a  # the first\n\n# none\ntuesday/a\nkitti\n")
    assert sorted(found(f"@{listed}")) == sorted(found(listed)) == everything
    document = tmp_path / "drives.yaml"
    document.write_text(f"- {logs}/monday\n- source: {logs}/kitti\n  sequence: '0001'\n")
    assert found(document) == [("kitti", "0001"), ("a", "a")]


def test_what_cannot_be_told_is_a_drive_with_a_problem(logs: Path) -> None:
    drives = find_drives([logs / "kitti", logs / "junk"])
    (bad,) = [drive for drive in drives if drive.problem is not None]
    assert bad.source == logs / "junk"
    assert "no drive log" in str(bad.problem)
    assert len(drives) == 3


def test_a_drive_in_a_folder_goes_by_its_own_name(logs: Path, tmp_path: Path) -> None:
    for folder in ("rigs/first", "rigs/second"):
        write_rig(open_sequence(logs / "kitti", "0001"), tmp_path / folder)
    drives = find_drives([tmp_path / "rigs"])
    assert drives == find_drives([tmp_path / "rigs" / "first", f"{tmp_path}/rigs/s*"])
    assert [(drive.source.name, drive.sequence) for drive in drives] == [
        ("first", "0001"),
        ("second", "0001"),
    ]
    assert [open_sequence(drive.source, drive.sequence).info.name for drive in drives] == ["0001"] * 2


@pytest.mark.parametrize(
    ("source", "said"), [("nowhere", "does not exist"), ("no*where", "matches no folder")]
)
def test_a_slip_of_the_pen_is_told_at_once(logs: Path, source: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find_drives([logs / source])


def test_lists_that_name_one_another_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("b.txt\n")
    (tmp_path / "b.txt").write_text("@a.txt\n")
    with pytest.raises(UsageError, match=r"a.txt names itself"):
        find_drives([tmp_path / "a.txt"])


def test_one_drive_with_a_store_stays_one_drive(logs: Path) -> None:
    kitti, drive = logs / "kitti", logs / "monday" / "a"
    assert is_one_drive([drive], None, Path("x.zarr"))
    assert is_one_drive([drive], None, Path("x"))
    assert is_one_drive([kitti], "0001", Path("x"))
    assert is_one_drive([kitti], None, Path("x.zarr")), "which says that one sequence has to be chosen"
    assert is_one_drive([logs / "nowhere"], None, Path("x.zarr")), "which says that it does not exist"
    assert not is_one_drive([kitti], None, Path("x"))
    assert not is_one_drive([logs], None, Path("x"))
    assert not is_one_drive([drive, kitti], None, Path("x"))
    assert not is_one_drive([f"{logs}/*"], None, Path("x"))


@given(
    st.lists(
        st.builds(
            Drive,
            st.sampled_from(
                ["/data/a", "/data/A", "/data/b", "/other/a", "/data/ä b", "/data/..x", "/data/\udcff"]
            ).map(Path),
            st.sampled_from(["", "0000", "0001", "a", "A", "run 1", "run/1", "run_1"]),
        ),
        unique_by=lambda drive: (drive.source, drive.sequence),
        min_size=1,
    ),
    st.randoms(),
    st.integers(0, 5),
)
def test_names_are_unique_and_hang_neither_on_order_nor_on_calls(
    tmp_path_factory: pytest.TempPathFactory, drives: list[Drive], random: st.DataObject, later: int
) -> None:
    root = FleetRoot(tmp_path_factory.mktemp("root"))
    root.prepare()
    names = {member.drive: member.name for member in root.enlist(drives)}
    assert len({name.lower() for name in names.values()}) == len(drives)
    assert all("/" not in name and not name.startswith(".") and name.isascii() for name in names.values())
    again = root.enlist(drives[:later])
    assert {member.drive: member.name for member in again}.items() <= names.items(), "a name stays"
    shuffled = list(drives)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other = FleetRoot(tmp_path_factory.mktemp("root"))
    other.prepare()
    assert {member.drive: member.name for member in other.enlist(shuffled)} == names


def test_names_are_those_of_the_drives(logs: Path, tmp_path: Path) -> None:
    root = FleetRoot(tmp_path)
    root.prepare()
    names = [member.name for member in root.enlist(find_drives([logs / "kitti", logs / "monday"]))]
    assert names == ["kitti-0000", "kitti-0001", "a"]
    listed = json.loads((root.state / "manifest.json").read_text())["members"]
    assert [one["name"] for one in listed] == ["a", "kitti-0000", "kitti-0001"]
