"""`python -m training --data DIR --out DIR`: data -> train -> export -> card, in one command."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.train import Plan, train


def main() -> None:
    """Read the options and run the recipe."""
    parser = argparse.ArgumentParser(prog="training", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with images/, train.json, val.json"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for checkpoints, log and model"
    )
    parser.add_argument("--size", choices=("n", "s"), default="n")
    parser.add_argument(
        "--hours", type=float, default=1.5, help="length of the schedule, resumed time counted in"
    )
    parser.add_argument("--rate", type=float, default=Plan.rate, help="peak learning rate")
    parser.add_argument("--sprites", type=Path, help="bank of rendered craft (see training.render)")
    parser.add_argument(
        "--start", type=Path, help="weights.pt to start from, with a fresh schedule"
    )
    parser.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    parser.add_argument("--workers", type=int, default=2, help="processes that make batches")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of the network")
    args = parser.parse_args()
    print(train(Plan(**vars(args))))


if __name__ == "__main__":
    main()
