"""Fixtures of the app's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from viewers.app.town import make_town


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store full of mistakes; copy it before editing."""
    root = tmp_path_factory.mktemp("town") / "town.zarr"
    make_town(root)
    return root
