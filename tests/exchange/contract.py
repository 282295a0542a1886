"""What every format must do; a format's tests inherit :class:`LabelFormatContract` and name the format."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.scenes import CLASSES, LabelsInMemory, drive, random_labels
from fleetlabel.engine.exchange import Imported, WritableFormat, export_labels, read_labels, writable_format
from fleetlabel.engine.exchange.certificate import match
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D
from fleetlabel.model.errors import FleetLabelError, SourceError, StoreExistsError

# Formats run the same test, each for itself.
_INHERITED = [HealthCheck.differing_executors]


class LabelFormatContract:
    """Tests of the contract in ``fleetlabel.engine.exchange.contract``."""

    format_name: ClassVar[str]
    classes: ClassVar[tuple[str, ...]] = CLASSES
    lean: ClassVar[bool] = True
    # Whether cuboids outside of every camera's view come through.
    unseen: ClassVar[bool] = True

    @property
    def format(self) -> WritableFormat:
        return writable_format(self.format_name)

    def scene(self, seed: int, **options: Any) -> LabelsInMemory:
        """Random labels that the format can carry exactly as far as it declares."""
        return random_labels(seed, lean=self.lean, classes=self.classes, **options)

    @settings(max_examples=20, suppress_health_check=_INHERITED)
    @given(seed=st.integers(0, 2**32 - 1))
    def test_boxes_come_back_exactly(self, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
        out = tmp_path_factory.mktemp("out")
        labels = self.scene(seed)
        exported = export_labels(labels, self.format, out, "made")
        again = read_labels(self.format, out, labels.drive)
        for camera, mine, theirs in self.pairs(labels, again):
            self.assert_same(mine, theirs)
            if self.unseen or camera is not None:
                assert len(mine) == len(theirs), camera
        for of, found in exported.report["certificate"].items():
            error = "max_corner_error_m" if of == "cuboids" else "max_edge_error_px"
            assert found[error] <= (1e-6 if of == "cuboids" else 1e-3), (of, found)
            assert found["changed"] == {}, (of, found)
        shutil.rmtree(out)

    def test_boxes_without_identity_come_back(self, tmp_path: Path) -> None:
        labels = self.scene(3, anonymous=True)
        report = export_labels(labels, self.format, tmp_path, "made").report
        again = read_labels(self.format, tmp_path, labels.drive)
        for camera, mine, theirs in self.pairs(labels, again):
            if self.unseen or camera is not None:
                assert len(mine) == len(theirs)
            assert (mine.track_id == -1).all()
        for of, found in report["certificate"].items():
            assert found.get("max_corner_error_m", 0) <= 1e-6, of
            assert found.get("max_edge_error_px", 0) <= 1e-3, of

    def test_what_is_lost_is_told(self, tmp_path: Path) -> None:
        labels = random_labels(5)
        report = export_labels(labels, self.format, tmp_path, "made").report
        told = {(loss["of"], loss["column"]) for loss in report["lost"]}
        for of, kind in (("cuboids", Boxes3D), *((camera, Boxes2D) for camera in labels.boxes2d)):
            columns = self.format.carries.columns(kind)
            if not columns:
                assert (of, "all") in told
                continue
            boxes = labels.boxes3d if kind is Boxes3D else labels.boxes2d[of]
            for name in kind.column_names():
                if name == "ignore" and not boxes.ignore.any():
                    continue
                if name not in ("frame", "timestamp_ns") and columns.get(name, "lost"):
                    assert (of, name) in told, f"{name} is not carried exactly, and nobody says so"
        assert json.loads((tmp_path / "loss_report.json").read_text()) == {labels.drive.file_name: report}

    def test_labels_that_are_there_are_not_overwritten(self, tmp_path: Path) -> None:
        labels = random_labels(1)
        export_labels(labels, self.format, tmp_path, "made")
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        with pytest.raises(StoreExistsError, match="already exists"):
            export_labels(labels, self.format, tmp_path, "made")
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before

    def test_two_sequences_share_a_folder(self, tmp_path: Path) -> None:
        one = self.scene(1, on=drive(name="one"))
        two = self.scene(2, on=drive(seed=1, name="two"))
        for labels in (one, two):
            export_labels(labels, self.format, tmp_path, "made")
        for labels in (one, two):
            for _, mine, theirs in self.pairs(labels, read_labels(self.format, tmp_path, labels.drive)):
                self.assert_same(mine, theirs)

    def test_labels_of_another_drive_are_refused(self, tmp_path: Path) -> None:
        labels = self.scene(1, on=drive(n_frames=30))
        export_labels(labels, self.format, tmp_path, "made")
        with pytest.raises(SourceError, match="another drive|no boxes"):
            read_labels(self.format, tmp_path, drive(n_frames=3, seed=2))

    @settings(max_examples=25, suppress_health_check=_INHERITED)
    @given(data=st.data())
    def test_damaged_files_give_an_error_that_names_them(
        self, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        out = tmp_path_factory.mktemp("out")
        labels = random_labels(data.draw(st.integers(0, 5)), n=12)
        self.format.write(labels, out)
        files = sorted(path for path in out.rglob("*") if path.is_file() and self.is_read(path))
        victim = data.draw(st.sampled_from(files))
        content = bytearray(victim.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, max(0, len(content) - 1)))
            kind = data.draw(st.sampled_from(["cut", "flip", "insert", "drop"]))
            if kind == "cut":
                del content[at:]
            elif kind == "flip" and content:
                content[at] ^= data.draw(st.integers(1, 255))
            elif kind == "insert":
                junk = data.draw(
                    st.sampled_from([b"-", b"9" * 30, b"nan", b'"', b"[", b"\xff", b"null", b"1e999"])
                )
                content[at:at] = junk
            else:
                del content[at : at + data.draw(st.integers(1, 40))]
        victim.write_bytes(content)
        # Damage may go unnoticed where the file still makes sense; anything else is an error of ours.
        try:
            read_labels(self.format, out, labels.drive)
        except FleetLabelError as error:
            assert str(out) in str(error) or isinstance(error, SourceError)  # noqa: PT017
        shutil.rmtree(out)

    def test_no_labels_are_told(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError):
            read_labels(self.format, tmp_path, drive())
        with pytest.raises(SourceError):
            read_labels(self.format, tmp_path / "nothing", drive())

    # --- what formats may have to say otherwise ---

    def is_read(self, path: Path) -> bool:
        """Whether the reader looks at a file at all."""
        return path.name != "loss_report.json"

    def pairs(self, labels: LabelsInMemory, again: Imported) -> Iterator[tuple[str | None, Boxes, Boxes]]:
        """What came back and what was exported, by camera; None for cuboids."""
        carries = self.format.carries
        if carries.pictures:
            assert set(again.pictures) == set(labels.boxes2d)
            for camera, boxes in labels.boxes2d.items():
                yield camera, again.pictures[camera], boxes
        if carries.cuboids:
            assert again.cuboids is not None
            yield None, again.cuboids, labels.boxes3d

    def assert_same(self, mine: Boxes, theirs: Boxes) -> None:
        """Boxes that came back are those that were exported."""
        columns = self.format.carries.columns(type(mine))  # type: ignore[arg-type]
        exact = {name for name, change in columns.items() if not change}
        partner = match(mine, theirs, "track_id" in columns)
        assert (partner >= 0).all()
        assert len(np.unique(partner)) == len(mine)
        for name in exact:
            a, b = getattr(mine, name), getattr(theirs, name)[partner]
            if name == "class_id":
                np.testing.assert_array_equal(mine.class_labels(), theirs.class_labels()[partner])
            elif a.dtype.kind == "f":
                limit = {"xyxy_px": 1e-3, "amodal_xyxy_px": 1e-3, "velocity_mps": 1e-5}.get(name, 1e-6)
                np.testing.assert_allclose(a, b, rtol=0, atol=limit, err_msg=name)
            else:
                np.testing.assert_array_equal(a, b, err_msg=name)
        if isinstance(mine, Boxes3D) and isinstance(theirs, Boxes3D):
            np.testing.assert_allclose(mine.corners_m(), theirs.corners_m()[partner], rtol=0, atol=1e-6)
