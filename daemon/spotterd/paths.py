"""Where things lie: the data rooms that ship with spotterd, and the state directory."""

import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SYSTEM_CONFIG = Path("/etc/spotterd/config.yaml")


def shipped(name: str) -> Path:
    """Path of a file or data room that ships with spotterd, e.g. `engines/sky.onnx`.

    In a checkout that is the top level; when installed, `<prefix>/share/spotterd`.
    """
    in_checkout = CHECKOUT / name
    if (CHECKOUT / "setup.py").is_file() and in_checkout.exists():
        return in_checkout
    return Path(sys.prefix) / "share" / "spotterd" / name


def state_dir() -> Path:
    """The directory for everything that must survive a restart; not created here.

    `$SPOTTERD_STATE_DIR`, else systemd's `$STATE_DIRECTORY`, else `$XDG_STATE_HOME/spotterd`.
    """
    for variable in ("SPOTTERD_STATE_DIR", "STATE_DIRECTORY"):
        # systemd gives a colon-separated list where a unit has several state directories.
        value = os.environ.get(variable, "").split(":")[0]
        if value:
            return Path(value)
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "spotterd"
