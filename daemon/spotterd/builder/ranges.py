"""Calibration ranges: between which values each activation of a network moves.

Measured here on pictures, or shipped with a model (`sky.ranges.json`, made on the training
pictures). Both INT8 roads take them. They belong to one model, byte for byte.
"""

import logging
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spotterd.builder.identity import BUILDER_VERSION
from spotterd.builder.proof import Proof

log = logging.getLogger(__name__)


class Ranges(BaseModel):
    """Lowest and highest value of each activation that INT8 must tell apart.

    Attributes:
        model_sha256: the model they belong to.
        method: how they were found: "entropy" or "minmax".
        pictures: on how many.
        ranges: (lowest, highest) by name of the tensor.
        proofs: what INT8 with these ranges is worth, by form; none for ranges measured on a board.
    """

    # Makers of models may say more about how they measured.
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    model_sha256: str
    method: str
    pictures: int = Field(ge=1)
    ranges: dict[str, tuple[float, float]] = Field(min_length=1)
    proofs: tuple[Proof, ...] = ()

    def proof(self, form: str, input_hw: tuple[int, int]) -> Proof | None:
        """What was measured of this form, made by this builder, at this size; None: nothing."""
        wanted = (form, input_hw, BUILDER_VERSION)
        fits = (p for p in self.proofs if (p.form, p.input_hw, p.builder) == wanted)
        return next(fits, None)


def shipped_ranges(model: Path, model_sha256: str) -> Ranges | None:
    """The ranges that lie beside a model; None where there are none for exactly this model."""
    path = model.with_suffix(".ranges.json")
    if not path.is_file():
        return None
    found = parse(path.read_bytes(), str(path))
    if found is not None and found.model_sha256 != model_sha256:
        log.warning("%s belongs to another model; it is not used.", path)
        return None
    return found


def parse(text: bytes, origin: str) -> Ranges | None:
    """Ranges from JSON; None, with a line in the journal, where it holds none."""
    try:
        return Ranges.model_validate_json(text)
    except ValidationError as error:
        log.warning("%s holds no ranges (%s); it is not used.", origin, str(error).splitlines()[0])
        return None
