"""What may be asked of a board, and with which arguments. Pure."""

import json
import re
from pathlib import PurePosixPath
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from spotterd.camera.uri import mask_url
from spotterd.config.explain import problems_of
from spotterd.config.schema import Name
from spotterd.errors import BadInputError
from spotterd.publish.payloads import RequestPayload
from spotterd.remote.model import Delivered, Labels, Order, Sha256
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


class BenchArgs(NoArgs):
    """How long detection may stand still for it, seconds."""

    seconds: Annotated[float, Field(gt=0, le=2)] = 0.5


class ModelArgs(NoArgs):
    """A model to fetch; or `rollback`, which goes back to the one before and ends an update.

    Attributes:
        url: https, or file for one that lies on the board.
        sha256: of the file, hex; size: in bytes.
        name: what people will call it; none: the URL's.
        labels: class names by index; none: those in the model's metadata.
        signature: Ed25519 over the file, base64.
    """

    rollback: bool = False
    url: Annotated[str, Field(max_length=2000)] = ""
    sha256: Sha256 | None = None
    size: Annotated[int, Field(gt=0)] | None = None
    name: Name | None = None
    labels: Labels | None = None
    signature: Annotated[str, Field(max_length=200)] = ""

    @field_validator("url")
    @classmethod
    def _is_https_or_file(cls, url: str) -> str:
        parts = urlsplit(url)
        away = parts.scheme == "https" and parts.hostname
        here = parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path
        if url and (not (away or here) or not url.isprintable() or " " in url):
            raise ValueError("must be https://HOST/... or file:///...")
        return url

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        given = self.model_fields_set - {"rollback"}
        if self.rollback and given:
            raise ValueError(f"rollback takes nothing else, but there is {', '.join(given)}")
        if not self.rollback and not (self.url and self.sha256 and self.size):
            raise ValueError("url, sha256 and size must be given; or rollback: true")
        return self

    def order(self, token: str) -> Order:
        """As an order; not for a rollback."""
        name = self.name or _fit(PurePosixPath(unquote(urlsplit(self.url).path)).stem)
        model = Delivered(
            name=name, sha256=self.sha256 or "", size=self.size or 0, labels=self.labels
        )
        return Order(token=token, url=self.url, signature=self.signature, model=model)


VERBS: dict[str, type[NoArgs]] = {
    "ping": NoArgs,
    "snapshot": SnapshotArgs,
    "logs": LogsArgs,
    "restart": NoArgs,
    "rebuild": NoArgs,
    "recalibrate": NoArgs,
    "bench": BenchArgs,
    "model": ModelArgs,
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
        # As JSON, in which a list may stand for a tuple.
        return schema.model_validate_json(json.dumps(request.args), strict=True)
    except ValidationError as error:
        listed = "; ".join(map(str, problems_of(error, schema)))
        raise BadInputError(f"The arguments of {verb} are wrong: {mask_url(listed)}.") from error


def _fit(name: str) -> str:
    """A file's name, made fit for a folder and a topic."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)[:64] or "model"
