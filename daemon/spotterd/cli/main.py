"""The command `spotterd`: one small module per command, imported only when it is used."""

import sys

import typer

from spotterd.cli import service
from spotterd.cli.detect import detect
from spotterd.cli.doctor import doctor
from spotterd.cli.evaluate import evaluate
from spotterd.cli.watch import watch
from spotterd.errors import BadInputError

app = typer.Typer(
    name="spotterd",
    help="Watches the sky on a Jetson board and reports aircraft over MQTT.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def options() -> None:
    """Watches the sky on a Jetson board and reports aircraft over MQTT."""


app.command()(detect)
app.command()(doctor)
app.command()(watch)
app.add_typer(service.app, name="service")
app.command()(evaluate)


def main() -> None:
    """Entry point; bad input is one sentence on stderr and exit 2."""
    try:
        app()
    except BadInputError as error:
        typer.echo(f"spotterd: {error}", err=True)
        sys.exit(2)
