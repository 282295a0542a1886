"""Releases in every format: what training code opens has the boxes of each split, and no other's."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
import yaml

from fleetlabel.engine.exchange import FORMATS, WritableFormat, read_labels, writable_format
from fleetlabel.engine.release import Asked, Manifest, create, export_release
from fleetlabel.engine.release.labels import ReleasedLabels
from fleetlabel.model.errors import CorruptStoreError, StoreExistsError
from fleetlabel.store import SequenceStore
from release.conftest import Cli
from release.fleets import CAMERAS, HEIGHT, N_FRAMES, WIDTH, make_store

WRITABLE = [name for name, format in FORMATS.items() if isinstance(format, WritableFormat)]
HALVES = {"train": 0.5, "val": 0.25, "test": 0.25}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, Path]:
    """Four drives of one name in three splits; the front camera of the first misses a picture."""
    root = tmp_path_factory.mktemp("released") / "root"
    for seed in range(4):
        make_store(
            root,
            f"drive-{seed}",
            seed=seed,
            start_s=1000 * seed,
            sequence="0000",
            missing=[2] if seed == 0 else [],
        )
    classes = ("truck", "car", "pedestrian")
    return create(root, "fall", Asked(shares=HALVES, classes=classes)).manifest, root


def boxes(released: tuple[Manifest, Path], split: str) -> dict[tuple[str, str, int], list[list[float]]]:
    """Edges of the boxes of a split, regions to ignore apart, by drive, camera and frame."""
    release, root = released
    found: dict[tuple[str, str, int], list[list[float]]] = {}
    for name, drive in release.in_split(split).items():
        labels = ReleasedLabels(SequenceStore.open(root / f"{name}.zarr"), drive.labels, release, name)
        for camera in CAMERAS:
            flat = labels.pictures(camera, 0, N_FRAMES)
            for row in np.flatnonzero(~flat.ignore):
                edges = [float(flat.class_id[row]), *flat.xyxy_px[row].tolist()]
                found.setdefault((name, camera, int(flat.frame[row])), []).append(edges)
    return found


def exported(released: tuple[Manifest, Path], format: str, out: Path, **options: Any) -> Path:
    release, root = released
    export_release(release, root, writable_format(format), out, **options)
    return out


@pytest.mark.parametrize("format", WRITABLE)
def test_every_format(released: tuple[Manifest, Path], tmp_path: Path, format: str) -> None:
    out = exported(released, format, tmp_path / "out")
    release, root = released
    assert (out / "release.json").read_bytes() == (root / "releases" / "fall.json").read_bytes()
    assert json.loads((out / "splits.json").read_text()) == {
        split: list(release.in_split(split)) for split in HALVES
    }
    report = json.loads((out / "loss_report.json").read_text())
    assert {name: one["split"] for name, one in report.items()} == release.splits
    for one in report.values():
        assert one["format"] == format
        assert one["labels"] == "auto"
        assert one["certificate"]
    left = [path.name for path in out.rglob("*") if path.name.startswith(".") or path.suffix == ".part"]
    assert not left
    with pytest.raises(StoreExistsError):
        exported(released, format, out)


@pytest.mark.parametrize("format", ["openlabel", "parquet", "cvat"])
def test_folders_by_split_are_read_again(
    released: tuple[Manifest, Path], tmp_path: Path, format: str
) -> None:
    out = exported(released, format, tmp_path / "out")
    release, root = released
    for split in HALVES:
        for name, drive in release.in_split(split).items():
            labels = ReleasedLabels(SequenceStore.open(root / f"{name}.zarr"), drive.labels, release, name)
            found = read_labels(writable_format(format), out / split, labels.drive)
            for camera in CAMERAS:
                assert len(found.pictures[camera]) == len(labels.pictures(camera, 0, N_FRAMES))


def test_coco_is_one_file_per_split(
    released: tuple[Manifest, Path], tmp_path: Path, ask_oracle: Callable[..., Any]
) -> None:
    out = exported(released, "coco", tmp_path / "out", pictures=True)
    for split in HALVES:
        document = json.loads((out / "annotations" / f"{split}.json").read_text())
        images = {image["id"]: image for image in document["images"]}
        names = {category["id"]: category["name"] for category in document["categories"]}
        assert len(images) == len(document["images"]) == 2 * N_FRAMES * len(released[0].in_split(split))
        assert len({box["id"] for box in document["annotations"]}) == len(document["annotations"])
        videos = {video["id"]: video["name"] for video in document["videos"]}
        found: dict[tuple[str, str, int], list[list[float]]] = {}
        for box in document["annotations"]:
            image = images[box["image_id"]]
            drive, camera = videos[image["video_id"]].split("/")
            assert image["file_name"] == f"{drive}/{camera}/{image['frame_id']:06d}.jpg"
            if not box["iscrowd"]:
                x, y, width, height = box["bbox"]
                label = float(box["category_id"] - 1)
                found.setdefault((drive, camera, image["frame_id"]), []).append(
                    [label, x, y, x + width, y + height]
                )
        same_boxes(found, boxes(released, split))
        assert list(names.values())[:3] == ["truck", "car", "pedestrian"]
        missing = [one for one in images.values() if not (out / "images" / one["file_name"]).exists()]
        assert [(one["file_name"]) for one in missing] == [
            f"{name}/front/000002.jpg" for name in released[0].in_split(split) if name == "drive-0"
        ]
        read = ask_oracle("coco", out / "annotations" / f"{split}.json")
        assert len(read["boxes"]) == len(document["annotations"])


def same_boxes(found: dict[Any, Any], expected: dict[Any, Any], within: float = 1e-6) -> None:
    assert set(found) == set(expected)
    for key, rows in expected.items():
        np.testing.assert_allclose(sorted(found[key]), sorted(rows), atol=within)


def test_yolo_lists_the_pictures_of_each_split(released: tuple[Manifest, Path], tmp_path: Path) -> None:
    out = exported(released, "yolo", tmp_path / "out", pictures=True)
    data = yaml.safe_load((out / "data.yaml").read_text())
    assert data["names"] == {0: "truck", 1: "car", 2: "pedestrian"}
    size = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
    for split in HALVES:
        listed = (out / data[split]).read_text().splitlines()
        assert len(listed) == len(set(listed))
        found: dict[tuple[str, str, int], list[list[float]]] = {}
        for line in listed:
            assert (out / line).is_file(), "each has its picture"
            drive, camera, name = line.removeprefix("./images/").split("/")
            label = out / line.replace("/images/", "/labels/").replace(".jpg", ".txt")
            for row in label.read_text().splitlines() if label.exists() else ():
                kind, *shares = map(float, row.split())
                x, y, width, height = shares
                edges = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2]) * size
                found.setdefault((drive, camera, int(name[:6])), []).append([kind, *edges.tolist()])
        missing = ("drive-0", "front", 2)
        same_boxes(found, {key: rows for key, rows in boxes(released, split).items() if key != missing}, 1e-3)


def test_ultralytics_finds_every_picture(
    released: tuple[Manifest, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    utils = pytest.importorskip("ultralytics.data.utils", exc_type=(ImportError, RuntimeError))
    out = exported(released, "yolo", tmp_path / "out", pictures=True)
    monkeypatch.chdir(tmp_path)  # training is started anywhere
    data = utils.check_det_dataset(str(out / "data.yaml"), autodownload=False)
    assert data["nc"] == 3
    for split in ("train", "val", "test"):
        assert Path(data[split]) == out / f"{split}.txt"


def test_kitti_object_numbers_pictures_through(released: tuple[Manifest, Path], tmp_path: Path) -> None:
    out = exported(released, "kitti-object", tmp_path / "out", pictures=True)
    rows = [line.split() for line in (out / "ImageSets" / "pictures.txt").read_text().splitlines()]
    place = {number: (drive, camera, int(frame)) for number, drive, camera, frame in rows}
    assert list(place) == [f"{row:06d}" for row in range(4 * 2 * N_FRAMES - 1)], "one picture is missing"
    listed = {}
    for split in HALVES:
        for number in (out / "ImageSets" / f"{split}.txt").read_text().split():
            listed[number] = split
            for kind, suffix in (("label_2", "txt"), ("calib", "txt"), ("image_2", "jpg")):
                assert (out / "training" / kind / f"{number}.{suffix}").is_file()
    assert set(listed) == set(place)
    split_of = released[0].splits
    assert all(split_of[place[number][0]] == split for number, split in listed.items())
    for number, (drive, camera, frame) in place.items():
        image = (out / "training" / "image_2" / f"{number}.jpg").read_bytes()
        store = SequenceStore.open(released[1] / f"{drive}.zarr")
        assert image == store.camera(camera).jpeg(frame)
        lines = (out / "training" / "label_2" / f"{number}.txt").read_text().splitlines()
        wanted = store.labels2d("auto", camera).xyxy_px.tolist()
        for line in lines:
            fields = line.split()
            if fields[0] == "DontCare" or len(fields) < 15:
                continue
            edges = [float(value) for value in fields[4:8]]
            if float(fields[8]) == -1:  # a box in the picture alone
                assert any(np.allclose(edges, box, atol=1e-6) for box in wanted)
    names = (out / "training" / "calib" / "000000.txt").read_text().splitlines()
    assert [line.split()[0] for line in names] == [
        *("P0:", "P1:", "P2:", "P3:", "R0_rect:", "Tr_velo_to_cam:", "Tr_imu_to_velo:")
    ]


def test_kitti_tracking_has_a_map_of_sequences_per_split(
    released: tuple[Manifest, Path], tmp_path: Path
) -> None:
    out = exported(released, "kitti", tmp_path / "out")
    for camera, split in itertools.product(CAMERAS, HALVES):
        lines = (out / camera / f"evaluate_tracking.seqmap.{split}").read_text().splitlines()
        assert [line.split() for line in lines] == [
            [name, "empty", "000000", f"{N_FRAMES:06d}"] for name in released[0].in_split(split)
        ]
    assert not list(out.rglob("evaluate_tracking.seqmap.training"))


def test_mot_has_a_benchmark_per_split(released: tuple[Manifest, Path], tmp_path: Path) -> None:
    out = exported(released, "mot", tmp_path / "out", pictures=True)
    for split in HALVES:
        header, *names = (out / "seqmaps" / f"fall-{split}.txt").read_text().splitlines()
        assert header == "name"
        assert names == [f"{name}-{c}" for name in released[0].in_split(split) for c in CAMERAS]
        for name in names:
            assert (out / f"fall-{split}" / name / "gt" / "gt.txt").is_file()
            assert (out / f"fall-{split}" / name / "img1" / "000001.jpg").is_file()


def test_nuscenes_is_one_version_that_the_devkit_splits(
    released: tuple[Manifest, Path], tmp_path: Path, ask_oracle: Callable[..., Any]
) -> None:
    out = exported(released, "nuscenes", tmp_path / "out", pictures=True)
    release, root = released
    found = ask_oracle("nuscenes_splits", out, "v1.0-fall", *[f"fall-{split}" for split in HALVES])
    for split in HALVES:
        scenes = found[f"fall-{split}"]
        assert [scene["name"] for scene in scenes] == list(release.in_split(split))
        for scene in scenes:
            drive = release.drives[scene["name"]]
            labels = ReleasedLabels(
                SequenceStore.open(root / f"{scene['name']}.zarr"), drive.labels, release, scene["name"]
            )
            solid = labels.cuboids(0, N_FRAMES)
            assert Counter(map(tuple, scene["boxes"])) == Counter(
                zip(
                    solid.frame.tolist(),
                    (f"FleetLabel class: {name}" for name in solid.class_labels()),
                    strict=True,
                )
            )
            assert scene["pictures"] == 2 * N_FRAMES - (scene["name"] == "drive-0")
    tables = out / "v1.0-fall"
    channels = [row["channel"] for row in json.loads((tables / "sensor.json").read_text())]
    assert sorted(channels) == ["front", "rear", "top"], "drives share sensors and categories"
    assert len(json.loads((tables / "category.json").read_text())) == len(release.classes) + len(
        release.ignored_classes
    )


def test_datumaro_takes_splits_for_subsets(
    released: tuple[Manifest, Path], tmp_path: Path, ask_oracle: Callable[..., Any]
) -> None:
    out = exported(released, "datumaro", tmp_path / "out")
    found = ask_oracle("datumaro_subsets", out)
    assert set(found) == set(HALVES)
    for split, items in found.items():
        expected = {f"{d}/{c}/{f:06d}": rows for (d, c, f), rows in boxes(released, split).items()}
        same_boxes({name: rows for name, rows in items.items() if rows}, expected, 0.011)  # it rounds


def test_scalabel_is_one_file_per_split(released: tuple[Manifest, Path], tmp_path: Path) -> None:
    out = exported(released, "scalabel", tmp_path / "out")
    for split in HALVES:
        document = json.loads((out / f"{split}.json").read_text())
        names = [category["name"] for category in document["config"]["categories"]]
        found: dict[tuple[str, str, int], list[list[float]]] = {}
        for frame in document["frames"]:
            drive, camera = frame["videoName"].split("/")
            for label in frame["labels"]:
                if not label["attributes"]["crowd"]:
                    x1, y1, x2, y2 = (label["box2d"][edge] for edge in ("x1", "y1", "x2", "y2"))
                    kind = float(names.index(label["category"]))
                    found.setdefault((drive, camera, frame["frameIndex"]), []).append(
                        [kind, x1, y1, x2 + 1, y2 + 1]
                    )
        same_boxes(found, boxes(released, split))


def test_parquet_of_a_split_is_one_table(released: tuple[Manifest, Path], tmp_path: Path) -> None:
    out = exported(released, "parquet", tmp_path / "out")
    for split in HALVES:
        table = polars.read_parquet(out / split / "*" / "pictures" / "*.parquet")
        assert (~table["ignore"]).sum() == sum(map(len, boxes(released, split).values()))


def test_frames_that_nobody_labelled_are_no_negatives(tmp_path: Path) -> None:
    root = tmp_path / "root"
    labels = make_store(root, "a", seed=1)
    make_store(root, "b", seed=2, start_s=1000)
    store = SequenceStore.open(root / "a.zarr")
    keep = {camera: boxes.take(boxes.frame == 1) for camera, boxes in labels.boxes2d.items()}
    store.write_labels(
        "sparse", keep, None, class_names=labels.class_names, provenance={"labelled_frames": [1]}
    )
    release = create(root, "one", Asked(shares={"train": 1.0})).manifest
    out = exported((release, root), "yolo", tmp_path / "out")
    listed = (out / "train.txt").read_text().splitlines()
    assert [line for line in listed if "/a/" in line] == [f"./images/a/{c}/000001.jpg" for c in CAMERAS]


def test_what_is_not_what_was_frozen_is_not_exported(tmp_path: Path, fleetlabel: Cli) -> None:
    root = tmp_path / "root"
    for seed in range(2):
        make_store(root, f"{seed}", seed=seed, start_s=1000 * seed)
    release = create(root, "one", Asked()).manifest
    why = ("--why", "asked", "--yes", "--despite-releases")
    assert fleetlabel("delete", root / "1.zarr", "--sensor", "rear", *why)[0] == 0
    with pytest.raises(CorruptStoreError, match="labels auto are not what was frozen"):
        exported((release, root), "coco", tmp_path / "out")
