"""Damage of every kind is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fleetlabel.model.errors import CorruptStoreError, StoreError, StoreNotFoundError
from fleetlabel.store import Part, SequenceStore, describe, verify
from fleetlabel.store.runs import declare_run
from store.drives import NAMES, boxes2d, boxes3d, drive, pictures, sweeps


@pytest.fixture
def filled(store: SequenceStore) -> SequenceStore:
    """Both cameras and the lidar in two parts each (the lidar's with a checkpoint), a run, a label version."""
    for name, seed in (("front", 1), ("left", 2)):
        for start, stop in ((0, 5), (5, 12)):
            store.sensor_table(name).write(start, pictures(seed=seed).take(start, stop))
    for start, stop in ((0, 5), (5, 12)):
        part = sweeps().take(start, stop)
        state = {"tracker": np.arange(9.0)}
        store.sensor_table("top").write(start, Part(part.samples, part.counts, part.flat, state))
    declare_run(store, "detect", {"version": 1})
    store.write_labels("v", {"front": boxes2d()}, boxes3d(), class_names=NAMES, provenance={"run": "x"})
    assert verify(store) == []
    return store


def files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def problems(store: SequenceStore) -> list[str]:
    """What verify or, where not even that starts, opening the store says."""
    try:
        return verify(SequenceStore.open(store.root))
    except (CorruptStoreError, StoreNotFoundError) as error:
        return [str(error)]


def test_a_flipped_bit_in_any_file_of_a_part(filled: SequenceStore) -> None:
    folder = filled.table("sensors/top").part_folder(5, 12)
    checked = 0
    for path in files(folder):
        for position in {0, path.stat().st_size // 2, path.stat().st_size - 1}:
            flip(path, position)
            found = verify(filled)
            assert len(found) == 1, f"{path} byte {position}"
            assert "sensors/top 5..12" in found[0]
            flip(path, position)
            checked += 1
    assert checked > 30
    assert verify(filled) == []


def test_a_flipped_bit_in_any_document_of_the_store(filled: SequenceStore) -> None:
    """In groups, what counts are our attributes; the rest of their documents is Zarr's and the same everywhere."""
    parts = {path for path in filled.root.rglob("*") if path.name[:1].isdigit() and path.is_dir()}
    documents = [path for path in files(filled.root) if not parts & set(path.parents)]
    assert len(documents) > 12
    rng = np.random.default_rng(0)
    for path in documents:
        text = path.read_bytes()
        if path.name == "zarr.json" and len(json.loads(text)["attributes"]["fleetlabel"]) == 0:
            continue
        body = text.index(b'"fleetlabel": {')
        for position in [text.index(b'"', body + 15), *rng.integers(body + 15, len(text) - 2, 4)]:
            if text[position : position + 1].isspace() or text[position + 0] == ord(","):
                continue
            flip(path, int(position))
            assert problems(filled), (
                f"{path.relative_to(filled.root)} byte {position}: {text[position - 20 : position + 20]!r}"
            )
            flip(path, int(position))
    assert verify(filled) == []


def test_every_file_of_a_part_that_is_gone_or_cut_short(filled: SequenceStore, tmp_path: Path) -> None:
    folder = filled.table("sensors/front").part_folder(0, 5)
    for path in files(folder):
        content = path.read_bytes()
        path.unlink()
        assert len(verify(filled)) == 1, f"{path} gone"
        path.write_bytes(content[:-1])
        assert len(verify(filled)) == 1, f"{path} cut short"
        path.write_bytes(content)
    (folder / "flat.jpeg" / "c" / "7").write_bytes(b"more")
    assert len(verify(filled)) == 1
    (folder / "flat.jpeg" / "c" / "7").unlink()
    (folder / ".DS_Store").write_bytes(b"what file managers leave behind is no damage")
    assert verify(filled) == []


def test_a_part_in_another_place(filled: SequenceStore) -> None:
    front, left = (filled.table(f"sensors/{name}") for name in ("front", "left"))
    a, b, aside = front.part_folder(0, 5), left.part_folder(0, 5), filled.root / "aside"
    for one, other in ((a, b), (a, front.part_folder(5, 12))):
        one.rename(aside), other.rename(one), aside.rename(other)
        found = verify(filled)
        assert len(found) == 2
        assert all("holds samples" in line for line in found)
        with pytest.raises(CorruptStoreError, match="holds samples"):
            front.records()
        one.rename(aside), other.rename(one), aside.rename(other)
    assert verify(filled) == []


def test_a_part_of_another_sequence(filled: SequenceStore, tmp_path: Path) -> None:
    """An older record with newer files, or the other way round."""
    other = SequenceStore.create(tmp_path / "other.zarr", drive())
    other.sensor_table("front").write(0, pictures(seed=7).take(0, 5))
    mine, theirs = (s.table("sensors/front").part_folder(0, 5) for s in (filled, other))
    shutil.copy(theirs / "zarr.json", mine / "zarr.json")
    assert len(verify(filled)) == 1


def test_a_changed_checkpoint(filled: SequenceStore) -> None:
    array = filled.table("sensors/top").part_folder(0, 5) / "state.tracker"
    donor = filled.table("sensors/top").part_folder(5, 12) / "state.tracker"
    assert (array / "c.0").read_bytes() == (donor / "c.0").read_bytes()
    flip(array / "c.0", 30)
    assert len(verify(filled)) == 1


def test_all_that_is_damaged_is_listed(filled: SequenceStore) -> None:
    flip(filled.table("sensors/front").part_folder(0, 5) / "flat.jpeg" / "c" / "0", 5)
    (filled.table("sensors/left").part_folder(5, 12) / "zarr.json").write_bytes(b"{")
    (filled.root / "sensors" / "top" / "zarr.json").unlink()
    seen = []
    found = verify(filled, lambda done, total: seen.append((done, total)))
    assert len(found) == 3
    assert [line.split(":")[0] for line in found] == [
        "sensors/top",
        "sensors/front 0..5",
        "sensors/left 5..12",
    ]
    assert seen == [(i + 1, len(seen)) for i in range(len(seen))]


def test_a_finished_label_version_that_lost_data(filled: SequenceStore) -> None:
    shutil.rmtree(filled.table("labels/v/boxes3d").part_folder(0, 12))
    assert [line.split(":")[0] for line in verify(filled)] == ["labels/v/boxes3d"]
    shutil.rmtree(filled.root / "labels" / "v" / "boxes2d" / "front")
    assert len(verify(filled)) == 2


def test_what_is_not_committed_yet_is_no_damage(store: SequenceStore) -> None:
    store.sensor_table("front").write(3, pictures().take(3, 5))
    (store.root / "sensors" / "front" / ".pending-x-0123456789ab").mkdir()
    assert verify(store) == []


def test_reading_damaged_data_says_so(filled: SequenceStore) -> None:
    table = filled.table("sensors/top")
    folder = table.part_folder(0, 5)
    (folder / "flat.points" / "c.0.0").write_bytes(b"not packed rows at all")
    with pytest.raises(CorruptStoreError, match="cannot be read.*delete the damaged part"):
        table.read()
    with pytest.raises(CorruptStoreError, match="cannot be read"):
        filled.lidar("top").sweep(0)
    shutil.rmtree(folder / "flat.points")
    with pytest.raises(CorruptStoreError, match="cannot be read"):
        table.read()
    (folder / "zarr.json").unlink()
    with pytest.raises(CorruptStoreError, match="the commit record is damaged"):
        table.read()


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b'{"attributes": 3}', b'{"attributes": {"fleetlabel": 1}}', b"\xff"]
)
def test_documents_that_are_none_of_ours_never_crash(filled: SequenceStore, content: bytes) -> None:
    for path in (
        "zarr.json",
        "sensors/zarr.json",
        "sensors/top/zarr.json",
        "labels/v/zarr.json",
        "calibration/zarr.json",
    ):
        document = filled.root / path
        before = document.read_bytes()
        document.write_bytes(content)
        assert problems(filled), path
        document.write_bytes(before)


def test_changed_calibration_is_never_used(filled: SequenceStore) -> None:
    (document,) = (filled.root / "calibration").glob("*/zarr.json")
    document.write_text(document.read_text().replace('"fx_px": 50.0', '"fx_px": 51.0'))
    with pytest.raises(CorruptStoreError, match="damaged"):
        SequenceStore.open(filled.root)
    other = SequenceStore.create(filled.root.with_name("other"), drive(cameras=("rear",)))
    shutil.copy(next((other.root / "calibration").glob("*/zarr.json")), document)
    with pytest.raises(CorruptStoreError, match="lost its calibration"):
        SequenceStore.open(filled.root)


def test_describe_tells_of_a_damaged_record(filled: SequenceStore) -> None:
    flip(filled.table("sensors/top").part_folder(0, 5) / "zarr.json", 300)
    with pytest.raises(StoreError, match="delete the folder and resume"):
        describe(filled)
