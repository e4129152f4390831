"""`spotterd detect`: find aircraft in pictures, folders and videos."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spotterd.cli.common import ConfigOption, JsonOption

if TYPE_CHECKING:
    from rich.progress import Progress

    from spotterd.camera.base import Shot, Source
    from spotterd.cli.coco import CocoResults
    from spotterd.cli.detect_files import Copies, PictureCopy, VideoCopy
    from spotterd.data import Image
    from spotterd.inference.detector import Detector

Inputs = Annotated[list[Path], typer.Argument(help="pictures, folders of these, videos")]
Out = Annotated[Path | None, typer.Option(help="folder for annotated copies")]
Coco = Annotated[Path | None, typer.Option(help="file for COCO results")]
Annotations = Annotated[
    Path | None,
    typer.Option(help="COCO file with the ids of pictures and classes; else 1, 2, 3... as read"),
]
Conf = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="least score"),
]
Model = Annotated[str | None, typer.Option(help="'sky', 'sky-s' or a YOLO .onnx")]


@dataclass
class Summary:
    """What was read and found, as `--json` prints it."""

    model: str
    files: int = 0
    frames: int = 0
    detections: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    skipped: dict[str, str] = field(default_factory=dict)


def detect(
    inputs: Inputs,
    out: Out = None,
    coco: Coco = None,
    annotations: Annotations = None,
    conf: Conf = None,
    model: Model = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find aircraft in pictures, folders and videos: annotated copies and/or COCO results."""
    from spotterd.cli.coco import CocoResults
    from spotterd.cli.detect_files import Copies, files_of
    from spotterd.config.load import load
    from spotterd.inference.open import open_detector

    given = {"score": conf, "model": model}
    options = {"detector": {key: value for key, value in given.items() if value is not None}}
    settings = load(config, options)
    files, left_out = files_of(inputs)
    copies = Copies(out, files) if out else None
    detector = open_detector(settings.detector, settings.engines)
    with closing(detector.backend), _progress(as_json) as progress:
        results = CocoResults(detector.labels, annotations) if coco else None
        run = Run(detector, copies, results, progress)
        for file in left_out:
            run.skip(file, "it is neither a picture nor a video")
        run.read_all(files, strict=set(inputs))
    if results and coco:
        results.save(coco)
    if as_json:
        print(json.dumps(vars(run.summary)))
    else:
        print(run.told())


class Run:
    """One run over many files."""

    def __init__(
        self,
        detector: "Detector",
        copies: "Copies | None",
        results: "CocoResults | None",
        progress: "Progress",
    ) -> None:
        self.summary = Summary(detector.backend.model.name)
        self._detector = detector
        self._copies = copies
        self._results = results
        self._progress = progress

    def read_all(self, files: list[Path], strict: set[Path]) -> None:
        """Read files in order; those of folders may be damaged, `strict` ones may not."""
        from spotterd.errors import BadInputError

        started = time.perf_counter()
        for file in self._progress.track(files, description="detect"):
            try:
                source, first = _opened(file)
            except BadInputError as error:
                if file in strict:
                    raise
                self.skip(file, str(error))
                continue
            with closing(source):
                self._read(file, source, first)
        self.summary.seconds = round(time.perf_counter() - started, 3)

    def _read(self, path: Path, source: "Source", first: "Shot | None") -> None:
        seen: Counter[str] = Counter()
        frames = 0
        shot = first
        with ExitStack() as stack:
            copy = self._copy(path, source)
            if copy:
                stack.enter_context(closing(copy))
            while shot is not None:
                seen.update(self._frame(path, shot.pixels, copy))
                frames += 1
                shot = source.read(shot.pixels)
        self.summary.files += 1
        self.summary.frames += frames
        self.summary.detections += seen
        self._say(f"{path}: {_counted(seen)}" + (f" in {frames} frames" if frames > 1 else ""))

    def _copy(self, path: Path, source: "Source") -> "PictureCopy | VideoCopy | None":
        from spotterd.camera.replay import Video

        if self._copies is None:
            return None
        if isinstance(source, Video):
            return self._copies.of_video(path, source.fps)
        return self._copies.of_picture(path)

    def _frame(
        self, path: Path, bgr: "Image", copy: "PictureCopy | VideoCopy | None"
    ) -> Iterator[str]:
        """Detect, keep the results; the names of what was seen."""
        from spotterd.vision.draw import draw

        found = self._detector.run_once(bgr)
        if self._results and not self._results.add(path, found):
            self.summary.skipped.setdefault(str(path), "the annotations do not list it")
        if copy:
            draw(bgr, found, self._detector.labels)
            copy.write(bgr)
        return (self._detector.labels[label] for label in found.label)

    def skip(self, path: Path, why: str) -> None:
        """Leave a file out, with a note."""
        self.summary.skipped[str(path)] = why
        self._say(f"skipped {path}: {why}")

    def told(self) -> str:
        """The last line people read."""
        done = self.summary
        rate = done.frames / done.seconds if done.seconds else 0.0
        skipped = f", {len(done.skipped)} skipped" if done.skipped else ""
        what = _counted(done.detections)
        return f"{done.files} files, {done.frames} frames, {rate:.1f} a second{skipped}: {what}"

    def _say(self, line: str) -> None:
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _opened(path: Path) -> "tuple[Source, Shot | None]":
    """A file and its first picture, so that damage shows before anything is written."""
    from spotterd.camera.replay import open_recording

    source = open_recording(path)
    try:
        return source, source.read(None)
    except BaseException:
        source.close()
        raise


def _counted(seen: Counter[str]) -> str:
    return ", ".join(f"{count} {label}" for label, count in seen.most_common()) or "nothing"


def _progress(as_json: bool) -> "Progress":
    """A bar on a terminal, plain lines otherwise; stdout is left to the JSON document."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=as_json)
    return Progress(console=console, disable=not console.is_terminal)
