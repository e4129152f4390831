"""Makes the pictures of docs/operations.md, in a real browser. Needs chromium and mosquitto.

usage: pictures.py page VIDEO...    the local page of a daemon that watches these, as docs/page*.png
       pictures.py said FILE NAME   what a command said in colour, as docs/NAME
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, BROKER = 8399, 18399  # ports
CAMERAS = ("north", "south", "east", "west")
RUN_S = 60.0  # until there are events, and lines in the plots
SHEET = """<!doctype html><meta charset=utf-8><style>
body {{ margin: 0; background: #10151b; color: #e6ebf0; }}
pre {{ margin: 0; padding: 14px 18px; font: 14px/20px "DejaVu Sans Mono", monospace; }}
</style><pre>{}</pre>"""


def shoot(url: str, name: str, size: str) -> None:
    """A screenshot of what is at `url`."""
    with tempfile.TemporaryDirectory() as profile:
        command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu"]
        command += ["--hide-scrollbars", f"--user-data-dir={profile}", f"--window-size={size}"]
        command += ["--virtual-time-budget=5000", f"--screenshot={DOCS / name}", url]
        subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603
    print(f"docs/{name}")


def page(videos: list[str]) -> None:
    """A desk's and a phone's view of the local page."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "config.yaml"
        tree = {
            "node": "roof",
            "cameras": {
                camera: {"source": video, "loop": True, "max_fps": 10}
                for camera, video in zip(CAMERAS, videos, strict=False)
            },
            "engines": {"precision": "fp32"},
            "events": {"cool_down_s": 5},
            "mqtt": {"url": f"mqtt://127.0.0.1:{BROKER}"},
            "health": {"interval_s": 1},
            "web": {"page": True, "port": PAGE},
        }
        config.write_text(yaml.safe_dump(tree))
        run = [sys.executable, "-m", "spotterd", "run", "--config", str(config)]
        environment = {**os.environ, "SPOTTERD_STATE_DIR": str(folder / "state")}
        with (
            subprocess.Popen(["mosquitto", "-p", str(BROKER)]) as broker,  # noqa: S603, S607
            subprocess.Popen(run, env=environment) as daemon,  # noqa: S603
        ):
            time.sleep(RUN_S)
            shoot(f"http://127.0.0.1:{PAGE}/", "page.png", "1100,960")
            shoot(f"http://127.0.0.1:{PAGE}/", "page-phone.png", "390,1300")
            daemon.terminate()
            daemon.wait()
            broker.terminate()


def said(file: Path, name: str) -> None:
    """A terminal's text with its colours."""
    lines = [line.rstrip() for line in file.read_text().rstrip().splitlines()]
    text = Text.from_ansi("\n".join(lines))
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=160, file=nowhere)
        console.print(text)
    code = console.export_html(theme=MONOKAI, inline_styles=True, code_format="{code}")
    with tempfile.NamedTemporaryFile("w", suffix=".html") as sheet:
        sheet.write(SHEET.format(code))
        sheet.flush()
        seen = [line.rstrip() for line in text.plain.split("\n")]
        size = f"{max(map(len, seen)) * 9 + 36},{len(seen) * 20 + 28}"
        shoot(Path(sheet.name).as_uri(), name, size)


if __name__ == "__main__":
    if sys.argv[1] == "page":
        page(sys.argv[2:])
    else:
        said(Path(sys.argv[2]), sys.argv[3])
