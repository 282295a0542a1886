"""What importing our packages costs: a worker or a notebook must not load libraries that it does not use."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "torchvision",
    "ultralytics",
    "onnxruntime",
    "openvino",
    "tensorrt",
    "dask",
    "distributed",
    "grpc",
    "open3d",
    "sqlalchemy",
    "alembic",
    "psycopg",
    "prometheus_client",
}
LIGHT_PACKAGES = [
    "fleetlabel.geometry",
    "fleetlabel.trackers",
    "fleetlabel.model",
    "fleetlabel.store",
    "fleetlabel.labels",
    "fleetlabel.v1.label_service_pb2",
    "fleetlabel.engine.ingest",
    "fleetlabel.engine.detect",
    "fleetlabel.engine.lift",
    "fleetlabel.engine.pipeline",
    "fleetlabel.engine.cli.app",
    "fleetlabel.viewers",
    "fleetlabel.viewers.cli",
]


def modules_loaded_by(package: str) -> set[str]:
    """Top-level modules of a fresh interpreter that has imported ``package`` and nothing else."""
    code = f"import json, sys, {package}; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return set(json.loads(ran.stdout))


@pytest.mark.parametrize("package", LIGHT_PACKAGES)
def test_importing_a_package_loads_no_heavy_library(package: str) -> None:
    assert modules_loaded_by(package) & HEAVY == set()


@pytest.mark.parametrize("package", ["fleetlabel.geometry", "fleetlabel.trackers"])
def test_trackers_are_usable_alone(package: str) -> None:
    """They need arrays only: no store, no tables, no settings library, no pictures."""
    assert modules_loaded_by(package) & {"zarr", "pandas", "pydantic", "cv2", "simplejpeg", "typer"} == set()
