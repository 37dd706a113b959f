"""Evidence from where it lies: counters, logs, feedback and the champion of record."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.errors import StepFailed
from pipeline.evaluation import compare
from pipeline.evaluation.metrics import Scored, compute_all
from pipeline.model.artifacts import CARD_FILE, ModelFacts
from pipeline.model.champion import read_pinned
from pipeline.rollouts.evidence import Evidence, Verdict
from pipeline.rollouts.observed import outcomes
from pipeline.rollouts.observed.counters import counters_of, total
from pipeline.rollouts.observed.outcomes import Outcomes
from pipeline.rollouts.policy import BlueGreen, ChampionChallenger, TrafficPolicy
from pipeline.step import Workspace

if TYPE_CHECKING:
    import pandas as pd

Verifier = Callable[[TrafficPolicy], Verdict | None]


class StoreSources:
    """Everything that the controller of one model's rollout may look at."""

    def __init__(self, workspace: Workspace, verify: Verifier | None = None) -> None:
        self._workspace, self._verify = workspace, verify
        self._counters = counters_of(workspace)
        self._outcomes: Outcomes | None = None
        self._verdict: Verdict | None = None

    def gather(self, policy: TrafficPolicy) -> Evidence:
        """Look at all of it once."""
        record = self._workspace.records.read()[0]
        if record is None:
            raise StepFailed(f"{self._workspace.model} has no champion of record any more")
        tallies = total(self._counters, policy.experiment, policy.started_at)
        try:
            self._facts(policy)
        except StepFailed as error:
            return Evidence(
                tallies=tallies,
                lost=f"the challenger's files are not those that it began with: {error}",
                champion_sequence=record.sequence,
                champion_version=record.model_version,
            )
        logs = self.outcomes(policy)
        logs.refresh()
        return Evidence(
            tallies=tallies,
            losses=logs.losses(policy.loss),
            units=logs.units(),
            paired=logs.paired(policy.loss),
            promotion=self._promotion(policy, logs),
            verified=self._verified(policy),
            odd=logs.odd(policy.loss),
            champion_sequence=record.sequence,
            champion_version=record.model_version,
        )

    def outcomes(self, policy: TrafficPolicy) -> Outcomes:
        """The logs of the policy's experiment, kept from look to look."""
        if self._outcomes is None or self._outcomes.experiment != policy.experiment:
            workspace, self._verdict = self._workspace, None
            self._outcomes = Outcomes(
                workspace.store,
                workspace.key("predictions"),
                self._facts(policy).contract,
                policy.experiment,
                policy.started_at,
            )
        return self._outcomes

    def _facts(self, policy: TrafficPolicy) -> ModelFacts:
        """What lies beside the challenger; it reads data by the contract that both share."""
        card = policy.challenger.files.get(CARD_FILE)
        if card is None:
            raise StepFailed(f"the challenger has no file {CARD_FILE}")
        return ModelFacts.parse(read_pinned(self._workspace.store, card))

    def _promotion(self, policy: TrafficPolicy, logs: Outcomes) -> Verdict | None:
        """The promotion rule on the first outcomes, once there are enough: one look and no more."""
        plan = policy.strategy
        if not isinstance(plan, ChampionChallenger):
            return None
        champion, challenger = logs.pairs()
        if len(champion) < plan.min_feedback:
            return None
        if self._verdict is None:
            first = plan.min_feedback
            facts = self._facts(policy)
            self._verdict = self._rule(champion.head(first), challenger.head(first), facts)
        return self._verdict

    def _rule(
        self, champion: "pd.DataFrame", challenger: "pd.DataFrame", facts: ModelFacts
    ) -> Verdict:
        import pandas as pd

        settings = self._workspace.settings
        try:
            new, old = (scored(table, facts) for table in (challenger, champion))
        except ValueError as error:
            return Verdict(False, f"the feedback cannot be judged: {error}")
        # Several outcomes of one key are not independent.
        layout = compare.Layout(groups=pd.factorize(champion["keyless_unit"])[0])
        numbers = compare.compare(settings.metric.name, new, old, settings.promotion, layout)
        values = compute_all(settings.task.type, new, settings.task.metric)
        decision = compare.decide(numbers, values, settings.promotion, first=False)
        return Verdict(decision.verdict == "promote", f"on feedback: {decision.sentence}")

    def _verified(self, policy: TrafficPolicy) -> Verdict | None:
        """The check of the idle set; one that passed or failed is not made again."""
        if not isinstance(policy.strategy, BlueGreen) or self._verify is None:
            return None
        if policy.progress.step > 0:
            return Verdict(True, "the set was verified before the switch")
        self._verdict = self._verdict or self._verify(policy)
        return self._verdict


def scored(table: "pd.DataFrame", facts: ModelFacts) -> Scored:
    """Predictions of a log beside their outcomes, as the metrics want them."""
    import numpy as np
    import pandas as pd

    contract = facts.contract
    label = table[contract.output("prediction")]
    if not contract.classes:
        truth = outcomes.numbers(table)
        if np.isnan(truth).any():
            raise ValueError(f"{int(np.isnan(truth).sum())} outcomes are no numbers")
        return Scored(truth, label.to_numpy(float))
    index, named = pd.Index(contract.classes), outcomes.classes(table, contract)
    found = index.get_indexer(pd.Index(named))
    if (found < 0).any():
        raise ValueError(
            f"{named[found < 0][0]!r} is none of the classes {', '.join(contract.classes)}"
        )
    return Scored(
        found,
        index.get_indexer(pd.Index(label)),
        table[[contract.output(f"probability_{name}") for name in contract.classes]].to_numpy(
            float
        ),
        tuple(contract.classes),
        contract.classes.index(facts.positive) if facts.positive else 1,
    )
