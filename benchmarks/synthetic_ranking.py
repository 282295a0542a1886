"""Whether synthetic drives measure what real ones do: do they rank pipelines alike?

    python benchmarks/synthetic_ranking.py --work DIR --real DRIVE --real-model FILE [--model FILE]
    python benchmarks/synthetic_ranking.py --write    puts the table into benchmarks/README.md

The pipeline as it is, and three that are made worse on purpose:

- ``no tracking``: detections and cuboids as they are found, each with an identity of its own;
- ``half resolution``: the network's input averaged over 2 x 2 pixels;
- ``no merging``: what several cameras, or several boxes, see of one object stays several cuboids.

They are scored on three synthetic drives that no network was trained on, with the bundled detector, and on a real
drive, with its own. Both networks see pictures reduced by the same factor, so that the smallest objects that count,
30 px high in the picture, have the same height in the network's input; half of that is then the same loss for both.
The primary score, chosen before any of these numbers was seen, is 3D HOTA of cars within 40 m
as ``fleetlabel eval`` counts it: of all scores it alone sees missed and doubled objects, places and identities.
Two pipelines are tied on a drive when they are less than 0.01 apart. Numbers go to ``results/``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.detect.bundled import BUNDLED
from fleetlabel.engine.evaluate import evaluate
from fleetlabel.geometry.arrays import F32, F64, I64
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.store import SequenceStore
from fleetlabel.store.runs import open_run
from synthetic_runs import HELD_OUT_SEEDS, drive_of, labelled, machine, near_row

RESULTS = Path(__file__).parent / "results" / "synthetic_ranking.json"
README = Path(__file__).parent / "README.md"
BEGIN = "<!-- table: synthetic_ranking.py --write -->\n"
END = "<!-- end of table -->\n"
PRIMARY = "3D hota"
SCORES = {
    PRIMARY: ("3D", "hota"),
    "3D ap_2m": ("3D", "ap_2m"),
    "2D hota": ("2D", "hota"),
    "2D ap_50": ("2D", "ap_50"),
}
TIE = 0.01
# Pictures 960 px wide, reduced to a sixth as PandaSet's 1920 px are to the 320 px of the int8 weights.
IMGSZ_PX = 160
FULL, UNTRACKED, COARSE, UNMERGED = "full", "no tracking", "half resolution", "no merging"


@contextmanager
def replaced(module: str, name: str, wrap: Callable[[Any], Any]) -> Iterator[None]:
    """A function of the engine exchanged while the context lasts."""
    owner = import_module(module)
    original = getattr(owner, name)
    setattr(owner, name, wrap(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


def coarse(network_input: Callable[..., F32]) -> Callable[..., F32]:
    """Network inputs (3, H, W) in which 2 x 2 pixels are one."""

    def averaged(*arguments: Any) -> F32:
        fine = network_input(*arguments)
        channels, height, width = fine.shape
        blocks = fine.reshape(channels, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
        return np.ascontiguousarray(blocks.repeat(2, axis=1).repeat(2, axis=2))

    return averaged


def each_its_own(_: Callable[..., I64]) -> Callable[..., I64]:
    """In place of deciding which fitted boxes are one object: every one is an object of its own."""

    def owners(boxes: F64, group: I64, order: I64) -> I64:
        owner = np.full(len(boxes), -1, dtype=np.int64)
        owner[order] = np.arange(len(order))
        return owner

    return owners


def score_pipelines(
    drive: Path, work: Path, model: Path, imgsz_px: int | None
) -> dict[str, dict[str, float]]:
    """Scores of cars by pipeline and score."""
    store, version, _ = labelled(drive, work / f"{drive.name}.zarr", model, imgsz_px)
    found = {FULL: scores_of(store, version), UNTRACKED: scores_of(store, write_untracked(store, version))}
    with replaced("fleetlabel.engine.detect.detector", "network_input", coarse):
        coarse_store = fresh(work / f"{drive.name}_coarse.zarr")
        found[COARSE] = scores_of(*labelled(drive, coarse_store, model, imgsz_px)[:2])
    with replaced("fleetlabel.engine.lift.merge", "_objects", each_its_own):
        unmerged_store = fresh(work / f"{drive.name}_unmerged.zarr")
        found[UNMERGED] = scores_of(*labelled(drive, unmerged_store, model, imgsz_px)[:2])
    return found


def fresh(store: Path) -> Path:
    """A place for a store: what a changed engine makes has the same name as what the real one makes."""
    if store.exists():
        SequenceStore.remove(store)
    return store


def write_untracked(store: SequenceStore, version: str) -> str:
    """A label version of what was detected and lifted for another, without tracking or smoothing."""
    name = f"{version}-untracked"
    runs = store.labels(version).provenance["runs"]
    detect, lift = open_run(store, "detect", runs["detect"]), open_run(store, "lift", runs["lift"])
    cuboids = store.read_boxes(lift.table_path("all"), Boxes3D)
    cuboids = cuboids.replace(track_id=np.arange(len(cuboids)))
    first, flat = len(cuboids), {}
    for camera in store.labels(version).cameras:
        boxes = store.read_boxes(detect.table_path(camera), Boxes2D)
        flat[camera] = boxes.replace(track_id=np.arange(first, first + len(boxes)))
        first += len(boxes)
    store.write_labels(
        name, flat, cuboids, class_names=cuboids.class_names, provenance={"untracked": version}
    )
    return name


def scores_of(store: SequenceStore, version: str) -> dict[str, float]:
    """The scores of cars within 40 m; 0 where nothing was found."""
    report = evaluate(store, version).to_dict()
    return {
        name: near_row(report, section, "car").get(score) or 0.0 for name, (section, score) in SCORES.items()
    }


def ranking(scores: dict[str, dict[str, float]], name: str) -> list[str]:
    """Pipelines, the best first."""
    return sorted(scores, key=lambda pipeline: -scores[pipeline][name])


def contradictions(
    ours: dict[str, dict[str, float]], real: dict[str, dict[str, float]], name: str
) -> list[str]:
    """Pairs that one side ranks one way and the other side the other way, neither as a tie."""
    found = []
    for a, b in combinations(ours, 2):
        here, there = ours[a][name] - ours[b][name], real[a][name] - real[b][name]
        if here * there < 0 and min(abs(here), abs(there)) >= TIE:
            found.append(f"{a} / {b}")
    return found


def compared(
    real: dict[str, dict[str, float]], by_seed: dict[int, dict[str, dict[str, float]]], imgsz_px: int
) -> dict[str, Any]:
    """All that is kept: scores by pipeline on the real drive and on synthetic ones, and how either ranks them."""
    mean = {
        pipeline: {
            name: float(np.mean([scores[pipeline][name] for scores in by_seed.values()])) for name in SCORES
        }
        for pipeline in real
    }
    return {
        "machine": machine(),
        "imgsz_px": imgsz_px,
        "primary": PRIMARY,
        "tie": TIE,
        "verdict": {
            name: {
                "real": ranking(real, name),
                "synthetic": ranking(mean, name),
                "same": ranking(real, name) == ranking(mean, name),
                "contradictions": contradictions(mean, real, name),
            }
            for name in SCORES
        },
        "real": real,
        "synthetic": mean,
        "seeds": by_seed,
    }


def table(kept: dict[str, Any]) -> str:
    """The primary score by pipeline, the best on the real drive first, and in words whether ranks agree."""
    seeds = kept["seeds"]
    lines = [
        "| pipeline | real drive | synthetic drives | " + " | ".join(f"seed {seed}" for seed in seeds) + " |",
        "| --- | --- | --- | " + " | ".join("---" for _ in seeds) + " |",
    ]
    for pipeline in kept["verdict"][PRIMARY]["real"]:
        every = [kept["real"], kept["synthetic"], *seeds.values()]
        cells = " | ".join(f"{scores[pipeline][PRIMARY]:.3f}" for scores in every)
        lines.append(f"| {pipeline} | {cells} |")
    told = [f"{name}: {_told(kept['verdict'][name])}" for name in SCORES]
    return (
        "\n".join(lines)
        + f"\n\nRanks, scores less than {TIE:g} apart being a tie: "
        + "; ".join(told)
        + ".\n"
    )


def _told(verdict: dict[str, Any]) -> str:
    if verdict["same"]:
        return "the same"
    return (
        "contradicted by " + ", ".join(verdict["contradictions"])
        if verdict["contradictions"]
        else "the same but for ties"
    )


def main() -> None:
    """Measures, or writes the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--work", type=Path, help="folder for drives and stores; without it, nothing is measured"
    )
    parser.add_argument("--real", type=Path, help="a real drive with ground truth")
    parser.add_argument("--real-model", type=Path, help="weights for the real drive")
    parser.add_argument("--model", type=Path, default=Path(BUNDLED), help="weights for synthetic drives")
    parser.add_argument(
        "--imgsz", type=int, default=IMGSZ_PX, help="input of the synthetic drives' network, pixels"
    )
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the numbers go")
    parser.add_argument("--write", action="store_true", help="replace the table in benchmarks/README.md")
    given = parser.parse_args()
    if given.work is not None:
        if given.real is None or given.real_model is None:
            parser.error("--work needs --real and --real-model")
        real = score_pipelines(given.real, given.work, given.real_model, None)
        by_seed = {
            seed: score_pipelines(drive_of(seed, given.work), given.work, given.model, given.imgsz)
            for seed in HELD_OUT_SEEDS
        }
        given.json.write_text(json.dumps(compared(real, by_seed, given.imgsz), indent=1) + "\n")
    made = table(json.loads(given.json.read_text()))
    print(made, end="")
    if given.write:
        before, rest = README.read_text().split(BEGIN)
        README.write_text(before + BEGIN + made + END + rest.split(END, 1)[1])


if __name__ == "__main__":
    main()
