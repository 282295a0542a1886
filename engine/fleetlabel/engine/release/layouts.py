"""How a data set of several drives and splits lies in files, format by format: what training code opens.

Each drive is written by its format (``engine/exchange``) and then put where the format's readers expect it. Formats
of which readers take one file per split get one; drives are appended to it one after the other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

import yaml

from fleetlabel.engine.exchange import Labels
from fleetlabel.engine.exchange.kitti_object import object_calibration
from fleetlabel.engine.exchange.rows import picture_name
from fleetlabel.engine.exchange.writing import new_text
from fleetlabel.engine.release.manifest import Manifest
from fleetlabel.geometry.arrays import I64

PARTS = ".parts"  # what is written of a drive before it is put in its place


@dataclass(frozen=True, slots=True, eq=False)
class WrittenDrive:
    """A drive whose labels are written.

    Attributes:
        labels: of it.
        split: that it belongs to.
        folder: with what its format wrote.
        frames: camera -> frames (F,) with a picture that was looked at.
    """

    labels: Labels
    split: str
    folder: Path
    frames: dict[str, I64]

    @property
    def name(self) -> str:
        """Of the drive, in files."""
        return self.labels.drive.file_name


class Layout(ABC):
    """Where a release's files are; a context in which drives are added.

    Attributes:
        release: that is written.
        out: its folder.
        loads: how training code opens it, in words.
        left_out: label files of pictures that are missing, or that nobody looked at.
    """

    loads: str
    left_out = 0

    def __init__(self, release: Manifest, out: Path) -> None:
        self.release, self.out = release, out
        self._open = ExitStack()

    @abstractmethod
    def folder(self, split: str) -> Path:
        """Where the format writes drives of a split."""

    @abstractmethod
    def add(self, drive: WrittenDrive) -> None:
        """Puts what was written of a drive in its place."""

    def picture(self, drive: str, camera: str, frame: int) -> Path:
        """Where a picture is looked for."""
        return self.out / "images" / picture_name(drive, camera, frame)

    def finish(self) -> None:  # noqa: B027 - most have nothing to do
        """Writes what is known only when all drives were added."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.finish()
        except BaseException as failed:  # what is not finished is no file
            self._open.__exit__(type(failed), failed, failed.__traceback__)
            raise
        self._open.__exit__(kind, error, trace)

    def _lists(self, name_of: str) -> dict[str, TextIO]:
        """A text file for each split, by the pattern of its name; complete when the context ends."""
        return {
            split: self._open.enter_context(
                new_text(self.out / name_of.format(name=self.release.name, split=split))
            )
            for split in self.release.shares
        }


class FolderPerSplit(Layout):
    """A folder for each split, and in it what the format writes of each drive: CVAT, OpenLABEL, Parquet."""

    loads = "each split is a folder, with what each drive has in it"

    def folder(self, split: str) -> Path:
        """See the base class."""
        return self.out / split

    def add(self, drive: WrittenDrive) -> None:
        """See the base class: it is in its place."""


class YoloLayout(Layout):
    """One tree of labels; each split is a list of pictures, which ``data.yaml`` names."""

    loads = "yolo train data=data.yaml; train.txt and the others list pictures, also those without objects"

    def __init__(self, release: Manifest, out: Path) -> None:
        super().__init__(release, out)
        self._listed = self._lists("{split}.txt")

    def folder(self, split: str) -> Path:
        """See the base class."""
        return self.out

    def add(self, drive: WrittenDrive) -> None:
        """See the base class."""
        for camera, frames in drive.frames.items():
            self._listed[drive.split].writelines(
                f"./images/{picture_name(drive.name, camera, frame)}\n" for frame in frames.tolist()
            )

    def finish(self) -> None:
        """See the base class."""
        path = self.out / "data.yaml"
        path.unlink(missing_ok=True)
        splits = {split: f"{split}.txt" for split in self.release.shares}
        names = dict(enumerate(self.release.classes))
        with new_text(path) as file:  # without `path`, which would be taken from wherever training is started
            yaml.safe_dump({**splits, "names": names}, file, sort_keys=False, allow_unicode=True)


class KittiTrackingLayout(Layout):
    """One tree; each split is a map of sequences, as TrackEval reads them."""

    loads = "TrackEval's GT_FOLDER, with SPLIT_TO_EVAL train, val or test"

    def folder(self, split: str) -> Path:
        """See the base class."""
        return self.out

    def add(self, drive: WrittenDrive) -> None:
        """See the base class."""
        cameras = drive.labels.cameras
        for camera in cameras:
            folder = self.out if len(cameras) == 1 else self.out / camera
            # The writer's own map has drives of all splits.
            (folder / "evaluate_tracking.seqmap.training").unlink(missing_ok=True)
            for split in self.release.shares:
                with (folder / f"evaluate_tracking.seqmap.{split}").open("a") as file:
                    if split == drive.split:
                        file.write(f"{drive.name} empty 000000 {drive.labels.n_frames:06d}\n")

    def picture(self, drive: str, camera: str, frame: int) -> Path:
        """See the base class."""
        return self.out / camera / "image_02" / drive / f"{frame:06d}.jpg"


class KittiObjectLayout(Layout):
    """KITTI's own tree: pictures numbered through, ``ImageSets`` with the numbers of each split."""

    loads = (
        "training/{label_2,calib,image_2}/NNNNNN and ImageSets/train.txt, val.txt, test.txt, as OpenPCDet and mmdet3d "
        "read them; ImageSets/pictures.txt says which drive, camera and frame each number is"
    )

    def __init__(self, release: Manifest, out: Path) -> None:
        super().__init__(release, out)
        self._listed = self._lists("ImageSets/{split}.txt")
        self._pictures = self._open.enter_context(new_text(out / "ImageSets" / "pictures.txt"))
        self._numbers: dict[tuple[str, str], tuple[int, dict[int, int]]] = {}
        self._next = 0

    def folder(self, split: str) -> Path:
        """See the base class."""
        return self.out / PARTS

    def add(self, drive: WrittenDrive) -> None:
        """See the base class."""
        training = self.out / "training"
        for kind in ("label_2", "calib"):
            (training / kind).mkdir(parents=True, exist_ok=True)
        self._numbers.clear()
        for camera, frames in drive.frames.items():
            written = drive.folder / drive.name / camera
            calib = object_calibration(drive.labels.drive, camera)
            self._numbers[drive.name, camera] = self._next, {f: n for n, f in enumerate(frames.tolist())}
            for frame in frames.tolist():
                number, name = f"{self._next:06d}", f"{frame:06d}.txt"
                if (written / "label_2" / name).exists():
                    (written / "label_2" / name).rename(training / "label_2" / f"{number}.txt")
                else:  # nothing is in it
                    (training / "label_2" / f"{number}.txt").touch()
                (training / "calib" / f"{number}.txt").write_text(calib)
                self._listed[drive.split].write(f"{number}\n")
                self._pictures.write(f"{number} {drive.name} {camera} {frame}\n")
                self._next += 1
            self.left_out += sum(1 for _ in (written / "label_2").iterdir())

    def picture(self, drive: str, camera: str, frame: int) -> Path:
        """See the base class."""
        first, place = self._numbers[drive, camera]
        return self.out / "training" / "image_2" / f"{first + place[frame]:06d}.jpg"


class MotLayout(Layout):
    """A folder and a map of sequences for each split, as TrackEval reads them."""

    loads = "TrackEval's GT_FOLDER, with BENCHMARK the release's name and SPLIT_TO_EVAL train, val or test"

    def __init__(self, release: Manifest, out: Path) -> None:
        super().__init__(release, out)
        self._listed = self._lists("seqmaps/{name}-{split}.txt")
        for file in self._listed.values():
            file.write("name\n")
        self._split_of: dict[str, str] = {}

    def folder(self, split: str) -> Path:
        """See the base class."""
        return self.out / f"{self.release.name}-{split}"

    def add(self, drive: WrittenDrive) -> None:
        """See the base class."""
        self._split_of = {drive.name: drive.split}
        self._listed[drive.split].writelines(f"{drive.name}-{camera}\n" for camera in drive.labels.cameras)

    def picture(self, drive: str, camera: str, frame: int) -> Path:
        """See the base class."""
        sequence = self.folder(self._split_of[drive]) / f"{drive}-{camera}"
        return sequence / "img1" / f"{frame + 1:06d}.jpg"
