"""A client in another language, of others' making, that has the .proto files only."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fleetlabel.labels import Labels
from fleetlabel.store import SequenceStore
from rpc.conftest import FRAMES
from rpc.servers import Served

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
PROTO = HERE.parents[1] / "proto"
PICTURES = 2 * FRAMES  # of two cameras


@pytest.fixture(scope="session")
def node_client(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Runs ``node/client.mjs`` with the packages that its lock file names."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node and npm are not installed")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", "client.mjs"):
        shutil.copy(HERE / "node" / name, folder)
    shutil.copytree(
        PROTO, folder / "proto", ignore=shutil.ignore_patterns("*.py", "*.pyi", "*.binpb", "__pycache__")
    )
    install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
    installed = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=300)
    if installed.returncode:
        pytest.skip(f"npm cannot get the packages of tests/rpc/node: {installed.stderr.strip()[:200]}")

    def run(*arguments: str) -> dict[str, Any]:
        command = [node, "client.mjs", *arguments, "proto"]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        assert ran.returncode == 0, ran.stderr
        found: dict[str, Any] = json.loads(ran.stdout)
        return found

    return run


def test_a_client_in_node_takes_a_drive_from_its_log_to_exported_labels(
    node_client: Callable[..., dict[str, Any]], served: Served, root: Path
) -> None:
    seen = node_client(served.target, served.token("node", "reviewer"))

    progress = seen["progress"]
    assert progress["OPERATION_KIND_PRELABEL"]["stage"] == "detect"
    assert (
        progress["OPERATION_KIND_PRELABEL"]["done"]
        == progress["OPERATION_KIND_PRELABEL"]["total"]
        == PICTURES
    )
    assert all(one["done"] == one["total"] for one in progress.values())

    store = SequenceStore.open(root / "node.zarr")
    boxes = store.labels3d(seen["version"])
    before = seen["before"]
    assert len(boxes) and before["classes"] == list(boxes.class_names)
    for name in ("track_id", "frame", "score"):
        np.testing.assert_array_equal(before[name], getattr(boxes, name))
    np.testing.assert_array_equal(np.reshape(before["center_m"], (-1, 3)), boxes.center_m)

    edit, labels = seen["edit"], Labels.open(store)
    assert (edit["record"], edit["repeated"], len(labels.history.records)) == (1, True, 1)
    moved = labels.now.boxes(edit["object_id"]).cuboids
    row = int(np.flatnonzero(moved.frame == edit["frame"])[0])
    np.testing.assert_allclose(moved.center_m[row], np.add(before["center_m"][:3], [0.5, 0, 0]))
    after = np.reshape(seen["after"]["center_m"], (-1, 3))
    mine = (np.array(seen["after"]["track_id"]) == edit["object_id"]) & (
        np.array(seen["after"]["frame"]) == edit["frame"]
    )
    np.testing.assert_array_equal(after[mine], moved.center_m[row : row + 1])

    assert (seen["stale"]["name"], seen["outside"]) == ("ABORTED", "PERMISSION_DENIED")
    assert seen["stale"]["bytes"] > 0 and "conflict" in seen["stale"]["fields"]
    assert seen["pictures"] == 3 * 2
    assert seen["files"] == seen["listed"] and any(path.endswith(".txt") for path in seen["files"])
    assert "by_node" in store.label_versions()
