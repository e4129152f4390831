"""Home Assistant itself, with nothing but its MQTT integration: run by its own Python.

Prints the entities that it made of what it heard, then presses a button. usage: entities.py FOLDER
BROKER_PORT BUTTON, where FOLDER becomes its configuration.
"""

import asyncio
import json
import socket
import sys
from pathlib import Path

from homeassistant import bootstrap, runner
from homeassistant.core import HomeAssistant

PATIENCE_S = 60
ENTRY = {
    "entry_id": "broker",
    "domain": "mqtt",
    "title": "broker",
    "version": 1,
    "minor_version": 2,
    "options": {},
    "source": "user",
    "unique_id": None,
    "disabled_by": None,
    "pref_disable_new_entities": False,
    "pref_disable_polling": False,
    "created_at": "2026-01-01T00:00:00+00:00",
    "modified_at": "2026-01-01T00:00:00+00:00",
    "discovery_keys": {},
    "subentries": [],
}


async def started(folder: Path, port: int) -> HomeAssistant:
    """Home Assistant, set up as its dialogues would have done it."""
    (folder / ".storage").mkdir(parents=True)
    with socket.socket() as probe:  # for its own web server, which cannot be left out
        probe.bind(("127.0.0.1", 0))
        web = f"http: {{server_host: 127.0.0.1, server_port: {probe.getsockname()[1]}}}\n"
    (folder / "configuration.yaml").write_text(web)
    data = {"broker": "127.0.0.1", "port": port, "discovery": True}
    key = "core.config_entries"
    entries = {"entries": [{**ENTRY, "data": data}]}
    whole = {"version": 1, "minor_version": 5, "key": key, "data": entries}
    (folder / ".storage" / key).write_text(json.dumps(whole))
    config = runner.RuntimeConfig(config_dir=str(folder), skip_pip=True)
    hass = await bootstrap.async_setup_hass(config)
    assert hass is not None
    await hass.async_start()
    return hass


async def main(folder: Path, port: int, button: str) -> None:
    hass = await started(folder, port)

    def known() -> bool:
        """Every entity is there, and the slowest topic, health, was heard."""
        return all(
            (state := hass.states.get(name)) and state.state not in ("unavailable", "unknown")
            for name in ("sensor.roof_1_frame_rate", "sensor.roof_1_state")
        )

    for _ in range(PATIENCE_S):
        if known():
            break
        await asyncio.sleep(1)  # another program's state: there is nothing to wait on
    found = {state.entity_id: state.state for state in hass.states.async_all()}
    print(json.dumps(found), flush=True)
    await hass.services.async_call("button", "press", {"entity_id": button}, blocking=True)
    await hass.async_stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
