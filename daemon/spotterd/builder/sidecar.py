"""What is written beside a built engine. Pure."""

from pydantic import BaseModel, ConfigDict

from spotterd.builder.agreement import Figures
from spotterd.builder.gate import Judgement
from spotterd.builder.identity import Identity
from spotterd.config.schema import Precision


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tried(_Record):
    """One rung of the ladder INT8 -> FP16 -> FP32.

    Attributes:
        precision: what was built.
        refused: why it is not used, as part of a sentence; "" for the one that is.
        judgement: the gate's; none where it did not come to that, or the model itself runs.
        figures: what the gate judged by; none as above.
    """

    precision: Precision
    refused: str = ""
    judgement: Judgement | None = None
    figures: Figures | None = None


class Sidecar(_Record):
    """What lies beside a built engine.

    Attributes:
        identity: what it is valid for.
        precision: what it came to; lower than asked for where the gate or the speed decided so.
        tried: every rung, in order; the last one is in use.
        calibrated_by: what INT8 was calibrated by, in words.
        seconds: how long the build took.
        built_unix: when, in seconds since 1970 (of a clock that may be wrong).
        file: name of the engine; "" where the model itself is the engine (FP32 on ONNX Runtime).
        sha256: of the engine's bytes.
        bytes: its size.
    """

    identity: Identity
    precision: Precision
    tried: tuple[Tried, ...]
    calibrated_by: str
    seconds: float
    built_unix: int
    file: str = ""
    sha256: str = ""
    bytes: int = 0

    @property
    def figures(self) -> Figures | None:
        """Of the gate, for the engine in use."""
        return self.tried[-1].figures if self.tried else None

    @property
    def judgement(self) -> Judgement | None:
        """The gate's, of the engine in use."""
        return self.tried[-1].judgement if self.tried else None

    @property
    def remarks(self) -> str:
        """Why a better precision is not in use, and what the gate says of this one: sentences."""
        told = [f"{t.precision.upper()} is not used: {t.refused}." for t in self.tried if t.refused]
        if self.judgement is not None:
            told.append(
                f"{self.precision.upper()} is {self.judgement.verdict}: {self.judgement.why}."
            )
        return " ".join(told)
