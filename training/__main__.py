"""`python -m training --data DIR --out DIR`: data -> train -> export -> card, in one command."""

from __future__ import annotations

import argparse
from pathlib import Path

from training import card, export, render
from training.train import Plan, train


def main() -> None:
    """Read the options and run the recipe."""
    parser = argparse.ArgumentParser(prog="training", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with images/, train.json, val.json")
    add("--out", type=Path, required=True, help="folder for checkpoints, log, model and card")
    add("--size", choices=("n", "s"), nargs="+", default=["n"], help="one or both, side by side")
    add("--hours", type=float, default=1.5, help="schedule's length, resumed time counted in")
    add("--rate", type=float, default=Plan.rate, help="peak learning rate")
    add("--aircraft", type=Path, help="AI/Aircraft of flightgear-data-ai, to render airplanes from")
    add("--stamps", type=Path, help="stamps of tuxpaint-stamps-default: birds and things")
    add("--sprites", type=Path, help="bank of rendered craft; rendered when it does not exist")
    add("--start", type=Path, nargs="+", default=(), help="weights to start from, one a size")
    add("--resume", action="store_true", help="go on from the checkpoints in OUT")
    add("--freeze-stem", action="store_true", help="train only from stride 8 on: cheaper")
    add("--echo", type=int, default=1, help="steps made of each batch (4 suits a fast GPU)")
    add("--workers", type=int, default=2, help="processes that make batches")
    add("--threads", type=int, default=2, help="CPU threads of the network")
    add("--version", default="1", help="written into the model")
    args = vars(parser.parse_args())
    aircraft, photographs, version = (args.pop(key) for key in ("aircraft", "stamps", "version"))
    args["sprites"] = args["sprites"] or args["out"].parent / "sprites.npz"
    if not args["sprites"].exists():
        args["sprites"].parent.mkdir(parents=True, exist_ok=True)
        render.bank(aircraft, args["sprites"], each=700, photographs=photographs)
    plan = Plan(sizes=tuple(args.pop("size")), start=tuple(args.pop("start")), **args)
    for size, weights in zip(plan.sizes, train(plan), strict=True):
        model = plan.out / f"sky-{size}.onnx"
        export.export(weights, model, version=version)
        log, sheets = plan.out / f"sky-{size}.csv", plan.out / f"card-{size}"
        print(card.write(model, plan.data, log, sheets, 0.35))


if __name__ == "__main__":
    main()
