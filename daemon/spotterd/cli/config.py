"""`spotterd config`: what is in force, and is this file good?"""

import json
from pathlib import Path
from typing import Annotated

import typer

from spotterd.cli import distant
from spotterd.cli.common import ConfigOption, JsonOption

OF_MODEL = (("detector", "model"), ("detector", "labels"))

app = typer.Typer(
    help="Show, check and change the configuration, here or of a board.", no_args_is_help=True
)
app.command("get")(distant.get)
app.command("set")(distant.set_)


@app.command()
def show(
    config: ConfigOption = None,
    origin: Annotated[bool, typer.Option("--origin", help="and where each value is from")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the whole configuration in force, defaults and changes from afar included."""
    import yaml

    from spotterd.config.load import Given
    from spotterd.config.merge import leaves
    from spotterd.remote.model import with_model
    from spotterd.remote.modelroom import ModelRoom, models_folder
    from spotterd.remote.overlay import overlay_path, read_set

    given, overlay = Given.read(config), read_set(overlay_path())
    own = given.with_overlay(overlay)
    room = ModelRoom(models_folder())
    model = room.record.in_use
    chosen = with_model(own, model, str(room.file(model)) if model else "")
    tree = chosen.model_dump(mode="json")
    if origin:
        values = leaves(tree)
        found = given.origins(own, overlay)
        if model is not None:
            found |= dict.fromkeys(OF_MODEL, "delivered model")
        rows = {".".join(path): (values[path], found[path]) for path in values}
        if as_json:
            named = {key: {"value": v, "origin": o} for key, (v, o) in rows.items()}
            print(json.dumps(named))
            return
        width = max(map(len, rows))
        for key, (value, source) in rows.items():
            print(f"{key:<{width}}  {json.dumps(value, ensure_ascii=False)}  ({source})")
    elif as_json:
        print(json.dumps(tree))
    else:
        print(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), end="")


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(help="the file to check")],
    as_json: JsonOption = False,
) -> None:
    """Check a file; every problem at once, each with its path. Exit 1 where there is one."""
    from spotterd.config.load import InvalidConfigError, load

    try:
        load(file)
    except InvalidConfigError as error:
        if not as_json:
            print(error)
        else:
            problems = [problem._asdict() for problem in error.problems]
            print(json.dumps({"valid": False, "problems": problems}))
        raise typer.Exit(1) from None
    print(json.dumps({"valid": True, "problems": []}) if as_json else f"{file} is good.")
