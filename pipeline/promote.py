"""Decide on the challenger, and make it the champion of record if it is better."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from pipeline.data import dataset as data
from pipeline.errors import StepFailed
from pipeline.evaluation.compare import Decision, decide
from pipeline.evaluation.holdout import Evaluation, candidate, evaluate, find_version, log_metrics
from pipeline.model.champion import Champion, MetricValue, change
from pipeline.step import Outcome, Workspace, step
from pipeline.tracking import runs
from pipeline.tracking.decisions import decision_document, decision_key, set_aliases
from pipeline.tracking.lineage import identity_tags, role_arn
from pipeline.tracking.register import CHALLENGER

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ATTEMPTS = 5


@step
@click.option("--challenger", default=CHALLENGER, show_default=True, help="Version or alias.")
@click.option(
    "--floors-only", is_flag=True, help="Do not compare: for a champion that cannot be scored."
)
def main(workspace: Workspace, *, challenger: str, floors_only: bool) -> Outcome:
    """Evaluate the challenger on the holdout, record the decision, promote it if it is better."""
    client = runs.connect(workspace)
    version = find_version(workspace, client, challenger)
    found = None
    for _ in range(_ATTEMPTS):
        current, seen = workspace.records.read()
        if current is not None and current.run_id == version.run_id:
            return _already_champion(workspace, client, current)
        found = found or candidate(workspace, version)
        opponent = None if floors_only else current
        evaluation = evaluate(workspace, found, opponent, data.load(workspace, "holdout"))
        decision = decide(evaluation.comparison, evaluation.values, workspace.settings.promotion)
        log_metrics(client, evaluation)
        if decision.verdict == "keep":
            return _kept(workspace, client, evaluation, decision, current)
        champion = _record(workspace, evaluation, current)
        document = decision_document(workspace, "promote", decision.sentence, champion, current)
        document |= {"evaluation": evaluation.document(), "compared": opponent is not None}
        key = decision_key(workspace, champion.sequence)
        changed = change(workspace.records, workspace.store, key, seen, champion, _json(document))
        if changed is not None:
            disagreement = set_aliases(client, changed)
            return _promoted(workspace, changed, decision, evaluation, disagreement)
        # Another promotion came first: compare with the champion that it made.
    raise StepFailed(f"other promotions came first {_ATTEMPTS} times: run promote again")


def _record(workspace: Workspace, evaluation: Evaluation, current: Champion | None) -> Champion:
    numbers = evaluation.comparison
    return Champion(
        model=workspace.model,
        sequence=current.sequence + 1 if current else 1,
        model_version=evaluation.candidate.number,
        run_id=evaluation.candidate.run_id,
        metric=MetricValue(
            name=numbers.metric,
            value=numbers.challenger.value,
            low=numbers.challenger.low,
            high=numbers.challenger.high,
        ),
        files=evaluation.candidate.files,
        reference=evaluation.reference,
        previous=current.model_version if current else None,
        changed_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _kept(
    workspace: Workspace,
    client: "MlflowClient",
    evaluation: Evaluation,
    decision: Decision,
    current: Champion | None,
) -> Outcome:
    """A challenger that loses is a decision on record, not a failure."""
    now = datetime.now(UTC)
    document = {
        "schema_version": 1,
        "kind": "keep",
        "sentence": decision.sentence,
        "decided_at": now.isoformat(timespec="seconds"),
        "role_arn": role_arn(workspace),
        "identity": identity_tags(),
        "evaluation": evaluation.document(),
    }
    name = f"v{evaluation.candidate.number}-{now:%Y%m%dT%H%M%S.%fZ}.json"
    key = workspace.key("decisions", "kept", name)
    workspace.store.put(key, _json(document), if_absent=True)
    disagreement = set_aliases(client, current) if current else None
    kept = f"version {current.model_version} stays champion" if current else "there is no champion"
    return Outcome(
        lines=[f"kept: {decision.sentence}", f"{kept}; decision {workspace.store.uri(key)}"],
        values=_values(workspace, "keep", decision.sentence, evaluation, key, current),
        warnings=[*evaluation.warnings, *([disagreement] if disagreement else [])],
    )


def _promoted(
    workspace: Workspace,
    champion: Champion,
    decision: Decision,
    evaluation: Evaluation,
    disagreement: str | None,
) -> Outcome:
    assert champion.decision is not None
    key = champion.decision.key
    return Outcome(
        lines=[
            f"promoted version {champion.model_version} of {champion.model}: {decision.sentence}",
            f"decision {workspace.store.uri(key)}",
        ],
        values=_values(workspace, "promote", decision.sentence, evaluation, key, champion),
        warnings=[*evaluation.warnings, *([disagreement] if disagreement else [])],
    )


def _values(
    workspace: Workspace,
    verdict: str,
    sentence: str,
    evaluation: Evaluation,
    key: str,
    champion: Champion | None,
) -> dict[str, Any]:
    return {
        "step": "promote",
        "model": workspace.model,
        "verdict": verdict,
        "sentence": sentence,
        "decision_key": key,
        "champion_version": champion.model_version if champion else None,
        "metric": evaluation.comparison.metric,
        "holdout_value": evaluation.comparison.challenger.value,
        "evaluation": evaluation.document(),
    }


def _already_champion(workspace: Workspace, client: "MlflowClient", current: Champion) -> Outcome:
    disagreement = set_aliases(client, current)
    sentence = f"version {current.model_version} is the champion of record already"
    return Outcome(
        lines=[sentence],
        values={
            "step": "promote",
            "model": workspace.model,
            "verdict": "keep",
            "sentence": sentence,
            "decision_key": current.decision.key if current.decision else None,
            "champion_version": current.model_version,
            "metric": current.metric.name,
            "holdout_value": current.metric.value,
        },
        warnings=[disagreement] if disagreement else [],
    )


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True).encode()


if __name__ == "__main__":
    main()
