"""What files unpack to is known from their headers: honest ones are let through, bombs are not."""

from __future__ import annotations

import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlabel.engine.ingest.arrow_files import read_feather, read_parquet, texts
from fleetlabel.engine.ingest.unpacked_sizes import refuse_feather_bombs, refuse_parquet_bombs
from fleetlabel.model.errors import SourceError

TABLE = pl.DataFrame(
    {
        "lists": [[float(row)] * 50 for row in range(600)],
        "names": [f"name {row % 7}" for row in range(600)],
        "numbers": range(600),
        "bytes": [bytes([row % 256]) * 700 for row in range(600)],
    }
)


@pytest.mark.parametrize("compression", ["zstd", "snappy", "lz4", "gzip", "uncompressed"])
def test_honest_parquet_is_read(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "table.parquet"
    TABLE.write_parquet(path, compression=compression, row_group_size=256, data_page_size=4096)  # type: ignore[arg-type]
    assert read_parquet(path, TABLE.columns).equals(TABLE)


@pytest.mark.parametrize("compression", ["zstd", "lz4", "uncompressed"])
def test_honest_feather_is_read(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "table.feather"
    TABLE.with_columns(kind=pl.col("names").cast(pl.Categorical)).write_ipc(path, compression=compression)  # type: ignore[arg-type]
    assert read_feather(path, TABLE.columns).equals(TABLE)


def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    many = pl.DataFrame({"n": [0]}).select(pl.col("n").repeat_by(40_000_000).alias("lists"))
    many.write_parquet(tmp_path / "list.parquet", compression="zstd")
    long = pl.DataFrame({"text": ["x" * 150_000_000]})
    long.write_parquet(tmp_path / "text.parquet", compression="zstd")
    long.write_ipc(tmp_path / "text.feather", compression="zstd")
    for name in ("list.parquet", "text.parquet", "text.feather"):
        assert (tmp_path / name).stat().st_size < 1_000_000
    # In a process that has no room to unpack them.
    script = """
import sys
from contextlib import suppress
from pathlib import Path
from fleetlabel.engine.ingest.unpacked_sizes import refuse_feather_bombs, refuse_parquet_bombs
from fleetlabel.model.errors import SourceError
folder = Path(sys.argv[1])
for name, column in (("list", "lists"), ("text", "text")):
    try:
        refuse_parquet_bombs(folder / f"{name}.parquet", [column])
    except SourceError as error:
        print(error)
try:
    refuse_feather_bombs(folder / "text.feather")
except SourceError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (1 << 28, 1 << 28)),
    )
    told = done.stdout.splitlines()
    assert len(told) == 3, done.stderr
    assert all("would unpack to" in line for line in told)
    refuse_parquet_bombs(tmp_path / "list.parquet", ["others"])  # what is not read does no harm


def test_one_text_for_all_rows(tmp_path: Path) -> None:
    pl.DataFrame({"name": ["x" * 10_000] * 300}).write_parquet(tmp_path / "names.parquet")
    table = read_parquet(tmp_path / "names.parquet", ["name"])
    with pytest.raises(SourceError, match="holds a text of 10000 bytes"):
        texts(table, "name", tmp_path / "names.parquet")


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_damage_is_an_error_of_ours(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.getbasetemp()
    checks = {
        "d.parquet": lambda path: refuse_parquet_bombs(path, TABLE.columns),
        "d.feather": refuse_feather_bombs,
    }
    for name, check in checks.items():
        path = folder / name
        if not path.exists():
            TABLE.write_parquet(path) if name == "d.parquet" else TABLE.write_ipc(path, compression="zstd")
        content = bytearray(path.read_bytes())
        place = data.draw(st.one_of(st.integers(1, 700), st.integers(1, len(content))))
        content[-place] = data.draw(st.integers(0, 255))
        if data.draw(st.booleans()):
            del content[: data.draw(st.integers(1, 40))]
        broken = folder / f"broken-{name}"
        broken.write_bytes(content)
        with suppress(SourceError):
            check(broken)
