"""`python -m scripts.localcloud --home DIRECTORY`: run a local cloud in the foreground."""

import argparse
import sys
from pathlib import Path

from scripts.localcloud.daemon import run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m scripts.localcloud", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="the state directory")
    parser.add_argument("--region", default="us-east-1", help="the region of the account")
    parser.add_argument(
        "--eventual", action="store_true", help="roles, policies and tags count some requests late"
    )
    arguments = parser.parse_args()
    sys.exit(run(arguments.home, arguments.region, eventual=arguments.eventual))
