"""What an ONNX file says of itself, and whose names its classes have."""

import ast
import hashlib
import re
from pathlib import Path
from typing import Any

import onnxruntime as ort
import yaml
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from spotterd.errors import BadInputError
from spotterd.inference.base import ModelInfo

UNKNOWN = -1  # a side that only a run can tell
SIDE_OF_DYNAMIC = 640  # what YOLOs are trained with, where neither model nor user say more
DOCS = "See docs/own-model.md."
LONGEST_REASON = 300

# Its errors begin like: [ONNXRuntimeError] : 1 : FAIL : Load model from x failed:/a/b.cc:9 f(int)
_NOISE = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .*? failed:|/\S+:\d+ .*\) (?=[A-Z])"
)

# Everything that ONNX Runtime raises; they share no base class of their own.
ORT_ERRORS = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


def inspect(path: Path, input_hw: tuple[int, int] | None = None) -> ModelInfo:
    """Read what a model takes and gives, without running it.

    Args:
        path: an ONNX file.
        input_hw: the wanted input, for a model of dynamic size; None: the model's own.

    Raises:
        BadInputError: not a usable model; says why.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return describe(load(path, options, ["CPUExecutionProvider"]), path, input_hw)


def load(path: Path, options: Any, providers: list[Any]) -> Any:
    """An `onnxruntime.InferenceSession` of a file.

    Raises:
        BadInputError: the file is not there, or ONNX Runtime cannot make a network of it.
    """
    options.log_severity_level = 3  # errors; they come as exceptions, too
    _check_file(path)
    try:
        return ort.InferenceSession(str(path), options, providers=providers)
    except ORT_ERRORS as error:
        raise BadInputError(
            f"ONNX Runtime {ort.__version__} cannot load the model {path}: {short(error)}. "
            f"Is it a whole ONNX file? Export it again. {DOCS}"
        ) from error


def describe(session: Any, path: Path, input_hw: tuple[int, int] | None) -> ModelInfo:
    """As `inspect`, of a session that is open."""
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    if not session.get_outputs():
        raise BadInputError(f"The model {path} has no output. Export it again. {DOCS}")
    for tensor in (*session.get_inputs(), *session.get_outputs()):
        if tensor.type != "tensor(float)":
            raise BadInputError(
                f"The model {path} has '{tensor.name}' as {tensor.type}, not as float32. "
                f"Export it with float32 input and output, without built-in NMS. {DOCS}"
            )
    return ModelInfo(
        name=path.stem,
        sha256=_sha256(path),
        labels=_names(metadata.get("names", "")),
        input_hw=_input_hw(session, path, input_hw, metadata),
        output_shapes=tuple(_sides(output.shape) for output in session.get_outputs()),
        metadata=metadata,
    )


def labels_of(model: ModelInfo, wanted: tuple[str, ...] | str | None) -> tuple[str, ...]:
    """The class names to use: the user's list or file, else the model's own.

    Raises:
        BadInputError: neither says any, or the file cannot be read.
    """
    if isinstance(wanted, tuple):
        labels = wanted
    elif wanted is not None:
        labels = read_labels(Path(wanted).expanduser())
    else:
        labels = model.labels
    if not labels:
        raise BadInputError(
            f"The model {model.name} has no class names in its metadata. "
            f"Give them as detector.labels, a list or a text file. {DOCS}"
        )
    return labels


def read_labels(path: Path) -> tuple[str, ...]:
    """Class names from a file: one a line, or YAML with `names` (a list, or a map from 0).

    Raises:
        BadInputError: unreadable, or no names in it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() in {".yaml", ".yml"}:
            tree = yaml.safe_load(text)
            labels = _listed(tree.get("names") if isinstance(tree, dict) else tree)
        else:
            labels = tuple(line.strip() for line in text.splitlines() if line.strip())
    except OSError as error:
        raise BadInputError(f"Cannot read the labels {path}: {error.strerror}.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInputError(f"The labels {path} are not UTF-8 text, or not YAML.") from error
    if not labels:
        raise BadInputError(
            f"There are no class names in {path}. Write one a line, or YAML with `names`. {DOCS}"
        )
    return labels


def short(error: Exception) -> str:
    """The telling part of an ONNX Runtime error: one line, no code, no file and line of C++."""
    return _NOISE.sub("", " ".join(str(error).split())).strip(" .")[:LONGEST_REASON]


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise BadInputError(
            f"Cannot read the model {path}: {error.strerror}. Check detector.model."
        ) from error
    if not head:
        raise BadInputError(f"The model {path} is empty (0 bytes). Copy or export it again.")
    if head.startswith(b"PK") or path.suffix.lower() in {".pt", ".pth"}:
        raise BadInputError(f"The model {path} is a PyTorch file. Export it to ONNX first. {DOCS}")


def _sha256(path: Path) -> str:
    """Of the file, and of the weights beside it where the exporter left them out of it."""
    digest = hashlib.sha256()
    for part in (path, path.with_name(path.name + ".data")):
        if part.is_file():
            with part.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
    return digest.hexdigest()


def _input_hw(
    session: Any, path: Path, wanted: tuple[int, int] | None, metadata: dict[str, str]
) -> tuple[int, int]:
    """The input's size, checked: one picture of three colours."""
    shapes = [_sides(tensor.shape) for tensor in session.get_inputs()]
    picture = (len(shapes), len(shapes[0]) if shapes else 0) == (1, 4)
    if not picture or shapes[0][0] not in {1, UNKNOWN} or shapes[0][1] not in {3, UNKNOWN}:
        said = ", ".join(str(shape) for shape in shapes) or "nothing"
        raise BadInputError(
            f"The model {path} takes {said}, not one colour picture (1, 3, height, width). {DOCS}"
        )
    own = shapes[0][2:]
    if UNKNOWN in own:
        return wanted or _training_hw(metadata)
    if wanted is not None and wanted != own:
        raise BadInputError(
            f"The model {path} has a fixed input of {own[1]}x{own[0]}, but detector.input_size "
            f"says {wanted[1]}x{wanted[0]}. Remove input_size, or export with dynamic sizes."
        )
    return own[0], own[1]


def _training_hw(metadata: dict[str, str]) -> tuple[int, int]:
    """The size in the metadata of Ultralytics' exporter, `[height, width]`."""
    match _literal(metadata.get("imgsz", "")):
        case [int(height), int(width)] if height > 0 and width > 0:
            return height, width
        case _:
            return SIDE_OF_DYNAMIC, SIDE_OF_DYNAMIC


def _sides(shape: list[int | str | None]) -> tuple[int, ...]:
    return tuple(side if isinstance(side, int) and side > 0 else UNKNOWN for side in shape)


def _names(text: str) -> tuple[str, ...]:
    return _listed(_literal(text))


def _literal(text: str) -> object:
    try:
        value: object = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return value


def _listed(names: object) -> tuple[str, ...]:
    """Names from a list, or from a map of indices 0, 1, 2...; nothing where it is neither."""
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[index] for index in range(len(names))]
    return tuple(str(name) for name in names) if isinstance(names, (list, tuple)) else ()
