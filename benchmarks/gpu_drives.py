"""Drives of cameras alone, made of a few real pictures that are shown there and back again."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import simplejpeg
import yaml

from fleetlabel.engine.pipeline import run as pipeline
from fleetlabel.engine.pipeline.config import RunConfig

START_NS = 1_700_000_000_000_000_000
RATE_HZ = 10


def pictures_of(folder: Path) -> dict[str, list[Path]]:
    """The JPEGs of every camera, in order."""
    found = {camera.name: sorted(camera.glob("*.jpg")) for camera in sorted(folder.iterdir())}
    if not found or not all(found.values()):
        raise SystemExit(f"{folder}: expected a folder of JPEGs per camera")
    return found


def there_and_back(files: list[Path], n: int) -> list[Path]:
    """``n`` files: forwards, backwards, forwards, ..."""
    cycle = [*files, *files[-2:0:-1]]
    return [cycle[frame % len(cycle)] for frame in range(n)]


def ingest_drives(pictures: dict[str, list[Path]], folder: Path, n: int, frames: int) -> list[Path]:
    """Stores of ``n`` drives, ingested by as many processes as there are cores."""
    folder.mkdir(parents=True)
    make = partial(ingest_drive, pictures, frames)
    with ProcessPoolExecutor(min(n, len(os.sched_getaffinity(0)))) as pool:
        return list(pool.map(make, [folder / f"drive_{number:02d}" for number in range(n)]))


def ingest_drive(pictures: dict[str, list[Path]], frames: int, rig: Path) -> Path:
    """The store of one drive, whose rig folder links to the pictures."""
    cameras = []
    for name, files in pictures.items():
        (rig / name).mkdir(parents=True)
        for frame, file in enumerate(there_and_back(files, frames)):
            os.link(file, rig / name / f"{frame:05d}.jpg")
        height, width, *_ = simplejpeg.decode_jpeg_header(files[0].read_bytes())
        cameras.append(
            {
                "name": name,
                "data": name,
                "clock": {"start_ns": START_NS, "rate_hz": RATE_HZ},
                "model": {
                    "kind": "pinhole",
                    "width_px": width,
                    "height_px": height,
                    "fx_px": float(width) / 2,
                    "fy_px": float(width) / 2,
                    "cx_px": width / 2,
                    "cy_px": height / 2,
                },
                "ego_from_sensor": {"translation_m": [0.0, 0.0, 1.5], "q_wxyz": [0.5, -0.5, 0.5, -0.5]},
            }
        )
    description = {
        "version": 1,
        "frames": {"reference": cameras[0]["name"]},
        "poses": "none",
        "cameras": cameras,
    }
    (rig / "rig.yaml").write_text(yaml.safe_dump(description))
    store = rig.with_suffix(".zarr")
    pipeline.ingest(rig, RunConfig(out=store, workers=1))
    return store
