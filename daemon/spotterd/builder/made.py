"""What making an engine comes to."""

from dataclasses import dataclass

from spotterd.builder.proof import Proof


@dataclass(frozen=True, slots=True)
class Made:
    """An engine was made.

    Attributes:
        calibrated_by: what INT8 was calibrated by, in words; "" for other precisions.
        proof: what was shown of exactly this form of this model; None if nothing was.
    """

    calibrated_by: str = ""
    proof: Proof | None = None
