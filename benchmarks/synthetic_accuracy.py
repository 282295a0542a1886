"""How right the labels of synthetic drives are: the whole job on three held-out seeds, every class.

    python benchmarks/synthetic_accuracy.py --work DIR [--model FILE]    measures; numbers go to results/
    python benchmarks/synthetic_accuracy.py --write                      puts the table into the README

Drives and stores are kept in DIR and used again. Scores are means over the seeds, each seed as ``fleetlabel eval``
counts it: within 40 m, from 30 px of visible height; in 3D also with ``--min-points 20``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.detect.bundled import BUNDLED
from fleetlabel.engine.evaluate import evaluate
from fleetlabel.engine.synth.scene import OBJECT_CLASSES
from synthetic_runs import HELD_OUT_SEEDS, drive_of, labelled, machine, near_row

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "synthetic_accuracy.json"
README = HERE.parent / "README.md"
BEGIN = "<!-- table: python benchmarks/synthetic_accuracy.py --write -->\n"
END = "<!-- end of table -->\n"
MANY_POINTS = 20
# Column -> section, score, and whether objects need many points.
COLUMNS = {
    "2D HOTA": ("2D", "hota", False),
    "2D AP50": ("2D", "ap_50", False),
    "3D AP@2m": ("3D", "ap_2m", True),
    "3D HOTA": ("3D", "hota", True),
    "3D recall": ("3D", "recall", True),
    "3D precision": ("3D", "precision", True),
}
TARGETS = {("car", "2D HOTA"): 0.7, ("car", "3D AP@2m"): 0.8}


def measure(work: Path, model: Path) -> dict[str, Any]:
    """Scores of every class, by seed and as means."""
    by_seed: dict[str, Any] = {}
    for seed in HELD_OUT_SEEDS:
        store, version, rate = labelled(drive_of(seed, work), work / f"seed_{seed}.zarr", model)
        usual = evaluate(store, version).to_dict()
        strict = evaluate(store, version, min_points=MANY_POINTS).to_dict()
        by_seed[str(seed)] = {
            "frames_per_s": rate,
            "classes": {cls: _scores(cls, usual, strict) for cls in OBJECT_CLASSES},
        }
        print(seed, json.dumps(by_seed[str(seed)]["classes"]["car"]), flush=True)
    mean = {
        cls: {name: _mean([seed["classes"][cls][name] for seed in by_seed.values()]) for name in COLUMNS}
        | {"true boxes": sum(seed["classes"][cls]["true boxes"] for seed in by_seed.values())}
        for cls in OBJECT_CLASSES
    }
    return {"machine": machine(), "model": model.name, "seeds": by_seed, "mean": mean}


def _scores(cls: str, usual: dict[str, Any], strict: dict[str, Any]) -> dict[str, float | None]:
    scores = {
        name: near_row(strict if many else usual, section, cls).get(score)
        for name, (section, score, many) in COLUMNS.items()
    }
    return scores | {"true boxes": near_row(strict, "3D", cls).get("truth", 0)}


def _mean(values: list[float | None]) -> float | None:
    """Over the seeds that have such objects."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def table(results: dict[str, Any]) -> str:
    """The README's table, with what the targets ask of cars."""
    lines = [
        "| class | true cuboids | " + " | ".join(COLUMNS) + " |",
        "|---|---|" + "---|" * len(COLUMNS),
    ]
    for cls, row in results["mean"].items():
        cells = [_cell(cls, name, row[name]) for name in COLUMNS]
        lines.append(f"| {cls} | {row['true boxes']:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(cls: str, name: str, value: float | None) -> str:
    if value is None:
        return ""
    target = TARGETS.get((cls, name))
    return f"{value:.2f}" + ("" if target is None else f" (target {target:g})")


def main() -> None:
    """Measures, or writes the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, help="folder for drives and stores")
    parser.add_argument(
        "--model", type=Path, default=Path(BUNDLED), help="weights; by default the bundled ones"
    )
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the numbers go")
    parser.add_argument("--write", action="store_true", help="replace the table in the README")
    given = parser.parse_args()
    if given.work is not None:
        results = measure(given.work, given.model)
        given.json.write_text(json.dumps(results, indent=1) + "\n")
    made = table(json.loads(given.json.read_text()))
    print(made, end="")
    if given.write:
        before, rest = README.read_text().split(BEGIN)
        README.write_text(before + BEGIN + made + END + rest.split(END, 1)[1])


if __name__ == "__main__":
    main()
