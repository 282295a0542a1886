"""What the README says of formats follows from what they declare."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetlabel.engine.exchange import FORMATS
from fleetlabel.engine.exchange.table import renewed
from fleetlabel.model.boxes import Boxes2D, Boxes3D

ROOT = Path(__file__).parents[2]


def test_the_readmes_table_is_what_formats_declare() -> None:
    text = (ROOT / "README.md").read_text()
    assert renewed(text) == text, "run: python -m fleetlabel.engine.exchange.table README.md"


@pytest.mark.parametrize("name", FORMATS)
def test_formats_declare_columns_that_there_are(name: str) -> None:
    carries = FORMATS[name].carries
    assert set(carries.pictures) <= set(Boxes2D.column_names()) - {"frame"}
    assert set(carries.cuboids) <= set(Boxes3D.column_names()) - {"frame"}
    assert carries.pictures or carries.cuboids
