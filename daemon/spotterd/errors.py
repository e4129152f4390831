"""The few exceptions of the product, named after what the caller should do.

Every message is one sentence or two that tell what happened, where, and what to do now; it is shown
to people as it is.
"""


class SpotterdError(Exception):
    """Base of everything that spotterd raises on purpose."""


class BadInputError(SpotterdError):
    """Stop: somebody has to change something (a file, an option, a password). Commands exit 2."""


class RetryError(SpotterdError):
    """Try again later: a camera, broker or disk that may come back by itself."""


class RestartError(SpotterdError):
    """This process cannot go on, a new one can: CUDA after a fault. Nothing to retry in here."""


class FallBackError(SpotterdError):
    """This road does not work here: take the next one (INT8 -> FP16 -> FP32, GPU -> CPU)."""
