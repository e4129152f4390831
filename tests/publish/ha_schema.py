"""What Home Assistant accepts as device discovery, from its documentation (2026).

https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload and the pages of the five
platforms used. Unknown keys at the top are refused by Home Assistant, and
unknown keys of a component are dropped without a word, so both are errors here.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Topic = Annotated[str, Field(pattern=r"^[^#+]+$", max_length=65535)]
Text = Annotated[str, Field(min_length=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Device(Strict):
    identifiers: list[Text] = Field(min_length=1)
    name: Text
    manufacturer: Text
    model: Text
    sw_version: Text


class Origin(Strict):
    name: Text
    sw_version: Text


class Availability(Strict):
    topic: Topic
    payload_available: str = "online"
    payload_not_available: str = "offline"
    value_template: str | None = None


class Entity(Strict):
    name: Text
    unique_id: Text
    icon: str | None = Field(None, pattern=r"^mdi:[a-z0-9-]+$")
    qos: Literal[0, 1, 2] = 0
    entity_category: Literal["diagnostic", "config"] | None = None


class BinarySensor(Entity):
    platform: Literal["binary_sensor"]
    state_topic: Topic
    value_template: str
    device_class: Literal["connectivity", "occupancy"]

    @model_validator(mode="after")
    def _not_config(self) -> "BinarySensor":
        assert self.entity_category != "config", "sensors cannot be of the category config"
        return self


UNITS = {
    "duration": {"d", "h", "min", "s", "ms", "µs"},
    "data_size": {"B", "kB", "MB", "GB", "KiB", "MiB", "GiB"},
    "temperature": {"°C", "°F", "K"},
    "power": {"mW", "W", "kW", "MW"},
}


class Sensor(Entity):
    platform: Literal["sensor"]
    state_topic: Topic
    value_template: str
    device_class: Literal["duration", "data_size", "temperature", "power", "enum"] | None = None
    unit_of_measurement: str | None = None
    state_class: Literal["measurement"] | None = None
    options: list[str] | None = None
    expire_after: int | None = Field(None, gt=0)
    json_attributes_topic: Topic | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Sensor":
        assert self.entity_category != "config", "sensors cannot be of the category config"
        if self.device_class == "enum":
            assert self.options
            assert not self.state_class
            assert not self.unit_of_measurement
        elif self.device_class:
            assert self.unit_of_measurement in UNITS[self.device_class]
            assert not self.options
        return self


class Event(Entity):
    platform: Literal["event"]
    state_topic: Topic
    event_types: list[Text] = Field(min_length=1)
    value_template: str


class Image(Entity):
    platform: Literal["image"]
    image_topic: Topic
    content_type: Literal["image/jpeg", "image/png"]


class Button(Entity):
    platform: Literal["button"]
    command_topic: Topic
    payload_press: str
    device_class: Literal["identify", "restart", "update"] | None = None


Component = Annotated[
    BinarySensor | Sensor | Event | Image | Button, Field(discriminator="platform")
]


class Discovery(Strict):
    device: Device
    origin: Origin
    availability: list[Availability]
    components: dict[Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")], Component]

    @model_validator(mode="after")
    def _unique(self) -> "Discovery":
        ids = [component.unique_id for component in self.components.values()]
        assert len(ids) == len(set(ids)), "unique_id twice"
        return self
