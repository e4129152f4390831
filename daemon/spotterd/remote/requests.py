"""What may be asked of a board, and with which arguments. Pure."""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spotterd.config.explain import problems_of
from spotterd.config.schema import Name
from spotterd.errors import BadInputError
from spotterd.publish.payloads import RequestPayload
from spotterd.remote.strict import read_object

MOST_LINES = 500
VERB = re.compile(r"[a-z]{1,32}")


class NoArgs(BaseModel):
    """Nothing to say."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SnapshotArgs(NoArgs):
    """Of which camera; none: of the first."""

    camera: Name | None = None


class LogsArgs(NoArgs):
    """How many lines, the latest."""

    lines: Annotated[int, Field(ge=1, le=MOST_LINES)] = 100


VERBS: dict[str, type[NoArgs]] = {
    "ping": NoArgs,
    "snapshot": SnapshotArgs,
    "logs": LogsArgs,
    "restart": NoArgs,
    "rebuild": NoArgs,
    "recalibrate": NoArgs,
}


def read_request(payload: bytes) -> RequestPayload:
    """The request in a message; an empty message is one without token and arguments.

    Raises:
        BadInputError: the message is none.
    """
    tree = read_object(payload) if payload.strip() else {}
    try:
        return RequestPayload.model_validate(tree, strict=True)
    except ValidationError as error:
        listed = "; ".join(map(str, problems_of(error, RequestPayload)))
        raise BadInputError(f"The message is no request: {listed}.") from error


def arguments(verb: str, request: RequestPayload) -> NoArgs:
    """The arguments of a request.

    Raises:
        BadInputError: nobody knows the verb, or it takes no such arguments.
    """
    schema = VERBS.get(verb)
    if schema is None:
        raise BadInputError(f"There is no such request; ask for one of {', '.join(VERBS)}.")
    try:
        return schema.model_validate(request.args, strict=True)
    except ValidationError as error:
        listed = "; ".join(map(str, problems_of(error, schema)))
        raise BadInputError(f"The arguments of {verb} are wrong: {listed}.") from error
