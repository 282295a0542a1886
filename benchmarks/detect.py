"""Times 2D detection on a folder of JPEGs, part by part, for every backend that can run the model here.

    python benchmarks/detect.py weights.onnx folder/with/jpegs [--tiles 3x1] [--pictures 48] [--json]

Core time is what one picture costs all threads together and hardly depends on what else the machine does;
wall time does. The parts are measured one after the other on one thread, then all of it as the engine runs it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from fleetlabel.engine.detect import DetectConfig, DetectFailure, Detector, choose_backend, load_weights
from fleetlabel.engine.detect.backend import BackendSpec
from fleetlabel.engine.detect.libraries import possible_specs
from fleetlabel.engine.detect.picture import decode_picture
from fleetlabel.engine.steps import recording


def core_ms(work: Callable[[], object]) -> tuple[float, float]:
    """Core and wall milliseconds that ``work`` takes."""
    core, wall = time.process_time(), time.perf_counter()
    work()
    return 1e3 * (time.process_time() - core), 1e3 * (time.perf_counter() - wall)


def decode_all(jpegs: list[bytes], reduction: int) -> None:
    """Decodes all pictures, at a fraction of their size."""
    for jpeg in jpegs:
        decode_picture(jpeg, reduction=reduction)


def measure(
    weights_path: Path, jpegs: list[bytes], config: DetectConfig, spec: BackendSpec
) -> dict[str, object]:
    """One row of the table: times per picture in milliseconds."""
    weights = load_weights(weights_path)
    chosen = replace(config, backend=spec.backend, device=spec.device, precision=spec.precision)  # type: ignore[arg-type]
    with Detector(weights, choose_backend(weights, chosen).config) as detector:
        detector.detect(jpegs[:2])  # compiles and fills caches
        results: list[object] = []
        with recording() as times:
            core, wall = core_ms(lambda: results.extend(detector.detect(jpegs)))
        parts: defaultdict[str, float] = defaultdict(float)
        for one in times:
            parts[one.name] += 1e3 * one.wall_s / len(jpegs)
    failures = sum(isinstance(result, DetectFailure) for result in results)
    row: dict[str, object] = {
        "backend": str(spec),
        "core_ms": core / len(jpegs),
        "wall_ms": wall / len(jpegs),
    }
    return {**row, **{f"{name}_ms": ms for name, ms in parts.items()}, "failures": failures}


def main() -> None:
    """Measures and prints a table, or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("jpegs", type=Path, help="folder; searched with its subfolders")
    parser.add_argument("--tiles", default="1x1", help="columns x rows")
    parser.add_argument("--imgsz", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=48)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()

    columns, rows = (int(number) for number in given.tiles.split("x"))
    config = DetectConfig(tiles=(columns, rows), imgsz_px=given.imgsz, threads=given.threads)
    files = sorted(given.jpegs.rglob("*.jpg"))
    if not files:
        parser.error(f"{given.jpegs}: no .jpg files there")
    jpegs = [file.read_bytes() for file in files[:: max(1, len(files) // given.pictures)][: given.pictures]]

    decoding = {f"decode 1/{r}": core_ms(partial(decode_all, jpegs, r))[0] / len(jpegs) for r in (1, 2, 4, 8)}
    table = [
        measure(given.weights, jpegs, config, spec)
        for spec in possible_specs(load_weights(given.weights), config)
    ]
    if given.json:
        print(json.dumps({"pictures": len(jpegs), "decode_core_ms": decoding, "backends": table}))
        return
    print(f"{len(jpegs)} pictures, tiles {given.tiles}, {given.threads} thread(s); milliseconds per picture")
    print("  ".join(f"{name}: {ms:.2f}" for name, ms in decoding.items()))
    for row in table:
        print(
            "  ".join(
                f"{name}: {v:.2f}" if isinstance(v, float) else f"{name}: {v}" for name, v in row.items()
            )
        )


if __name__ == "__main__":
    main()
