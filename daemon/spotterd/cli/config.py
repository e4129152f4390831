"""`spotterd config`: what is in force, and is this file good?"""

import json
from pathlib import Path
from typing import Annotated

import typer

from spotterd.cli.common import ConfigOption, JsonOption

app = typer.Typer(help="Show and check the configuration.", no_args_is_help=True)


@app.command()
def show(
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the whole configuration in force, defaults included."""
    import yaml

    from spotterd.config.load import load

    tree = load(config).model_dump(mode="json")
    if as_json:
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
