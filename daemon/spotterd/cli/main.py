"""The command `spotterd`: one small module per command, imported only when it is used."""

import typer

from spotterd.cli import service
from spotterd.cli.doctor import doctor
from spotterd.cli.watch import watch

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


app.command()(doctor)
app.command()(watch)
app.add_typer(service.app, name="service")


def main() -> None:
    """Entry point."""
    app()
