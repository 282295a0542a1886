"""Reads label files with other people's tools, in their own environment; imports nothing of FleetLabel.

Usage: ``python other_readers.py QUESTION ARGUMENT...``; prints what was read as JSON.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any


def coco(path: str) -> Any:
    """Boxes as pycocotools indexes them, and AP50 of the labels as results on themselves."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO(path)
    boxes = []
    for annotation in truth.loadAnns(truth.getAnnIds()):
        image = truth.loadImgs(annotation["image_id"])[0]
        boxes.append(
            {
                "camera": image["camera"],
                "frame": image["frame_id"],
                "category": truth.loadCats(annotation["category_id"])[0]["name"],
                "track_id": annotation.get("track_id", -1),
                **{name: annotation[name] for name in ("bbox", "iscrowd")},
            }
        )
    results = [
        {name: annotation[name] for name in ("image_id", "category_id", "bbox", "score")}
        for annotation in truth.dataset["annotations"]
        if not annotation["iscrowd"]
    ]
    evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return {"boxes": boxes, "ap50": evaluation.stats[1]}


def motmetrics(path: str) -> Any:
    """Rows of a MOTChallenge file as py-motmetrics loads them: frame, id, x, y, width, height."""
    import motmetrics as mm

    table = mm.io.loadtxt(path, fmt="mot15-2D", min_confidence=1e-12)
    return [
        [int(frame), int(track), *(float(row[name]) for name in ("X", "Y", "Width", "Height"))]
        for (frame, track), row in table.iterrows()
    ]


def trackeval_mot(folder: str, sequence: str, n_frames: str) -> Any:
    """Scores of a sequence's labels as results on themselves, as TrackEval reads them."""
    import shutil
    import tempfile
    from pathlib import Path

    import trackeval

    results = Path(tempfile.mkdtemp())
    shutil.copytree(Path(folder) / sequence / "gt", results / "self/data")
    rows = [line.split(",") for line in (results / "self/data/gt.txt").read_text().splitlines()]
    kept = [",".join(row[:7] + ["-1"] * 3) for row in rows if float(row[6]) > 0]
    (results / "self/data" / f"{sequence}.txt").write_text("\n".join(kept) + "\n")
    # As ground truth, TrackEval takes confidence for a flag.
    truth = Path(tempfile.mkdtemp())
    shutil.copytree(Path(folder) / sequence, truth / sequence)
    flags = [",".join([*row[:6], "1" if float(row[6]) > 0 else "0", *row[7:]]) for row in rows]
    (truth / sequence / "gt/gt.txt").write_text("\n".join(flags) + "\n")
    data = trackeval.datasets.MotChallenge2DBox(
        {
            "GT_FOLDER": str(truth),
            "TRACKERS_FOLDER": str(results),
            "TRACKERS_TO_EVAL": ["self"],
            "SKIP_SPLIT_FOL": True,
            "SEQ_INFO": {sequence: int(n_frames)},
            "BENCHMARK": "MOT17",
            "PRINT_CONFIG": False,
        }
    )
    raw = data.get_raw_seq_data("self", sequence)
    seen = data.get_preprocessed_seq_data(raw, "pedestrian")
    quiet = {"PRINT_CONFIG": False}
    return {
        "GT_Dets": int(seen["num_gt_dets"]),
        "GT_IDs": int(seen["num_gt_ids"]),
        "HOTA": float(trackeval.metrics.HOTA().eval_sequence(seen)["HOTA"].mean()),
        "MOTA": float(trackeval.metrics.CLEAR(quiet).eval_sequence(seen)["MOTA"]),
        "IDF1": float(trackeval.metrics.Identity(quiet).eval_sequence(seen)["IDF1"]),
    }


def datumaro(format: str, path: str) -> Any:
    """Boxes as Datumaro imports them."""
    import re

    from datumaro.components.annotation import Bbox
    from datumaro.components.dataset import Dataset

    dataset = Dataset.import_from(path, format)
    labels = dataset.categories()[next(iter(dataset.categories()))]
    rows = []
    for item in dataset:
        number = re.search(r"(\d+)$", item.id)
        frame = item.attributes.get("frame", int(number[1]) if number else None)
        for annotation in item.annotations:
            if isinstance(annotation, Bbox):
                x, y, w, h = annotation.get_bbox()
                rows.append(
                    {
                        "id": item.id,
                        "frame": int(frame),
                        "label": labels[annotation.label].name,
                        "xyxy": [float(x), float(y), float(x + w), float(y + h)],
                        "attributes": {
                            k: v for k, v in annotation.attributes.items() if isinstance(v, (int, str, float))
                        },
                    }
                )
    return rows


def openlabel_schema(path: str) -> Any:
    """What violates ASAM's JSON schema, which vcd ships; vcd itself needs libraries that its schema does not."""
    import importlib.util
    from pathlib import Path

    import jsonschema

    folder = Path(next(iter(importlib.util.find_spec("vcd").submodule_search_locations)))
    spec = importlib.util.spec_from_file_location("vcd_schema", folder / "schema.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    validator = jsonschema.Draft7Validator(module.openlabel_schema)
    document = json.loads(Path(path).read_text())
    return [
        f"{'/'.join(map(str, error.path))}: {error.message[:200]}"
        for error in validator.iter_errors(document)
    ]


def nuscenes_devkit(root: str, version: str) -> Any:
    """Boxes in each camera's frame as the devkit places them, and the lines that it draws into each picture."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from nuscenes.nuscenes import NuScenes

    tables = NuScenes(version=version, dataroot=root, verbose=False)
    boxes, drawn = {}, {}
    for frame, sample in enumerate(sorted(tables.sample, key=lambda row: row["timestamp"])):
        for channel, token in sample["data"].items():
            if tables.get("sample_data", token)["sensor_modality"] != "camera":
                continue
            key = f"{channel} {frame}"
            _, found, _ = tables.get_sample_data(token)
            boxes[key] = [box.corners().T.tolist() for box in found]
            figure, axes = plt.subplots()
            tables.render_sample_data(token, ax=axes, verbose=False)
            drawn[key] = [line.get_xydata().tolist() for line in axes.lines]
            plt.close(figure)
    return {"scenes": [scene["name"] for scene in tables.scene], "boxes": boxes, "drawn": drawn}


def nuscenes_splits(root: str, version: str, *splits: str) -> Any:
    """Scenes of splits as the devkit finds them: frame and category of each box, and pictures that are there."""
    from pathlib import Path

    from nuscenes.nuscenes import NuScenes
    from nuscenes.utils.splits import get_scenes_of_split

    tables = NuScenes(version=version, dataroot=root, verbose=False)
    category = {row["name"]: row["description"] for row in tables.category}
    found: dict[str, Any] = {}
    for split in splits:
        found[split] = []
        for name in get_scenes_of_split(split, tables):
            scene = next(row for row in tables.scene if row["name"] == name)
            token, frame, boxes, pictures = scene["first_sample_token"], 0, [], 0
            while token:
                sample = tables.get("sample", token)
                names = [tables.get("sample_annotation", row)["category_name"] for row in sample["anns"]]
                boxes += [[frame, category[name]] for name in names]
                pictures += sum(
                    Path(tables.get_sample_data_path(t)).is_file() for t in sample["data"].values()
                )
                token, frame = sample["next"], frame + 1
            found[split].append({"name": name, "boxes": boxes, "pictures": pictures})
    return found


def datumaro_subsets(path: str) -> Any:
    """Number of the class and edges of boxes that are no regions to ignore, by subset and item."""
    from datumaro.components.dataset import Dataset

    found: dict[str, dict[str, list[Any]]] = {}
    for item in Dataset.import_from(path, "datumaro"):
        rows = found.setdefault(item.subset, {}).setdefault(item.id, [])
        for box in item.annotations:
            x, y, width, height = box.get_bbox()
            if not box.attributes.get("ignore"):
                rows.append([float(box.label), x, y, x + width, y + height])
    return found


def pyarrow_table(folder: str) -> Any:
    """Rows of a folder of Parquet files."""
    import pyarrow.dataset

    return pyarrow.dataset.dataset(folder).to_table().to_pylist()


_ALL = (
    *(coco, motmetrics, trackeval_mot, datumaro, openlabel_schema, nuscenes_devkit, pyarrow_table),
    *(nuscenes_splits, datumaro_subsets),
)
QUESTIONS = {function.__name__: function for function in _ALL}


if __name__ == "__main__":
    with contextlib.redirect_stdout(io.StringIO()):
        answer = QUESTIONS[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(answer))
