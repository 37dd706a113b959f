"""The pictures of docs/rollouts.md: the curves of the demos that the running local cloud has seen.

keyless up --model-servers
keyless rollout demo canary good   # and the others of DEMOS
python -m scripts.maintenance.rollout_pictures .keyless/ docs/pictures
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.model.artifacts import CARD_FILE, ModelFacts
from pipeline.model.champion import read_pinned
from pipeline.outputs import parse_platform
from pipeline.rollouts import page
from pipeline.rollouts.observed.counters import CloudWatchCounters
from pipeline.rollouts.observed.outcomes import Outcomes
from pipeline.rollouts.policies import Policies
from pipeline.rollouts.policy import AbTest
from pipeline.storage import BucketStore
from scripts.aws.sealed import client
from scripts.localcloud.home import administrator, load
from scripts.names import platform_parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from pipeline.rollouts.policy import TrafficPolicy
    from pipeline.storage import Store

DEMOS = (("champion_challenger", "good"), ("canary", "good"), ("canary", "bad"), ("ab", "good"))
PICTURES = tuple(f"rollout-{strategy}-{challenger}" for strategy, challenger in DEMOS)


@click.command()
@click.argument("home", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--environment", default="dev", show_default=True)
def main(home: Path, folder: Path, environment: str) -> None:
    """Write the curves of each demo of the local cloud in HOME as FOLDER/NAME.svg."""
    cloud, root = load(home.resolve()), administrator(home.resolve())
    parameter = platform_parameter(environment)
    value = client(cloud, root, "ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
    platform = parse_platform(value, origin=parameter)
    if platform.serving is None:
        raise click.ClickException("no model servers: keyless up --model-servers")
    model, prefixes = platform.serving.model, platform.artifact_store.prefixes
    store = BucketStore(platform.artifact_store.bucket, client(cloud, root, "s3"))
    counters = CloudWatchCounters(
        client(cloud, root, "cloudwatch"), platform.metrics_namespace, model
    )
    past = Policies(store, f"{prefixes.rollouts}{model}").history()
    folder.mkdir(parents=True, exist_ok=True)
    for name, (strategy, challenger) in zip(PICTURES, DEMOS, strict=True):
        mine = last_demo(past, strategy, challenger)
        series = counters.series(mine[-1].experiment, mine[-1].started_at)
        losses = None
        if isinstance(mine[-1].strategy, AbTest):  # only its picture shows outcomes
            losses = _losses(store, f"{prefixes.predictions}{model}", mine[-1])
        text = page.svg(page.curves(mine[-1], mine, series, losses))
        (folder / f"{name}.svg").write_text(shortened(text), encoding="utf-8")


def _losses(store: Store, prefix: str, policy: TrafficPolicy) -> pd.DataFrame:
    card = read_pinned(store, policy.challenger.files[CARD_FILE])
    contract = ModelFacts.parse(card).contract
    logs = Outcomes(store, prefix, contract, policy.experiment, policy.started_at)
    logs.refresh()
    return logs.loss_by_key(policy.loss)


def last_demo(past: Sequence[TrafficPolicy], strategy: str, challenger: str) -> list[TrafficPolicy]:
    """The policies of the last demo of a kind. Raises ClickException where there was none."""
    why = f"a demo with a {challenger} challenger"
    begun = [each for each in past if each.strategy.kind == strategy and each.why == why]
    if not begun:
        raise click.ClickException(f"first run keyless rollout demo {strategy} {challenger}")
    # Whatever ended it later says nothing of the demo.
    return [
        each
        for each in past
        if each.experiment == begun[-1].experiment and each.why != "another demo begins"
    ]


def shortened(svg: str) -> str:
    """A figure with the coordinates of its paths to a tenth of a point."""
    return (
        re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\d+\.\d)\d+", r"\1", path[0]), svg).rstrip()
        + "\n"
    )


if __name__ == "__main__":
    main()
