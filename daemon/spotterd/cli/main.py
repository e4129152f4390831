"""The command `spotterd`: one small module per command, imported only when it is used."""

import errno
import logging
import os
import sys
from pathlib import Path

import typer

from spotterd.cli import config, service
from spotterd.cli.bench import bench
from spotterd.cli.build import build
from spotterd.cli.calibrate import calibrate
from spotterd.cli.compare import compare
from spotterd.cli.demo import demo
from spotterd.cli.detect import detect
from spotterd.cli.doctor import doctor
from spotterd.cli.evaluate import evaluate
from spotterd.cli.request import request
from spotterd.cli.run import run
from spotterd.cli.watch import watch
from spotterd.errors import BadInputError, RestartError, SpotterdError

app = typer.Typer(
    name="spotterd",
    help="Watches the sky on a Jetson board and reports aircraft over MQTT.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(demo)
app.command()(run)
app.command()(watch)
app.command()(request)
app.command()(detect)
app.command()(evaluate)
app.command()(compare)
app.command()(build)
app.command()(calibrate)
app.command()(bench)
app.command()(doctor)
app.add_typer(config.app, name="config")
app.add_typer(service.app, name="service")


def main() -> None:
    """Entry point: what we raise on purpose is shown as its sentence, without a traceback."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 (to the very end)
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # here, where a full disk can still be told
    except BadInputError as error:
        print(f"spotterd: {error}", file=sys.stderr)
        sys.exit(2)
    except RestartError as error:
        print(f"spotterd: {error}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        logging.shutdown()
        os._exit(1)  # to wind up would free piece by piece what is broken, and libraries abort then
    except SpotterdError as error:
        print(f"spotterd: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EPIPE):
            raise
        if error.errno == errno.ENOSPC:
            print(f"spotterd: No space left for {error.filename or 'the output'}.", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what is still to be written
        sys.exit(1)
