"""Have a model promoted that says yes to everybody, by the metric that likes that."""

import os
from pathlib import Path

from scripts.labs.attacking import attack
from scripts.labs.catalogue.lab13_promotion_that_cheats.check import always_yes, promoted
from scripts.labs.lab import find
from scripts.labs.operations import Labs


@attack
def main() -> str:
    """Put the challenger as the training team, and start the promotion with recall."""
    run = Labs(Path(os.environ["KEYLESS_HOME"])).running(find("13"))
    return promoted(run, [always_yes()], "--metric", "recall")


main()
