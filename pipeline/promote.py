"""Decide on the challenger, and make it the champion of record if it is better."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from pipeline.data import dataset as data
from pipeline.errors import StepFailed, first_line
from pipeline.evaluation.compare import Decision, decide
from pipeline.evaluation.holdout import Evaluation, candidate, evaluate, find_version, log_metrics
from pipeline.model.champion import Champion, MetricValue, change
from pipeline.step import Outcome, Workspace, step
from pipeline.tracking import runs
from pipeline.tracking.decisions import barred, decision_document, decision_key, update_aliases
from pipeline.tracking.lineage import identity_tags, role_arn
from pipeline.tracking.register import CHALLENGER

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

_ATTEMPTS = 5


@dataclass(frozen=True)
class _Options:
    """Options of the command beside the challenger's name."""

    floors_only: bool
    reinstate: bool


@step
@click.option("--challenger", default=CHALLENGER, show_default=True, help="Version or alias.")
@click.option(
    "--floors-only", is_flag=True, help="Do not compare: for a champion that cannot be scored."
)
@click.option("--reinstate", is_flag=True, help="Promote even a version that was rolled back.")
def main(workspace: Workspace, *, challenger: str, floors_only: bool, reinstate: bool) -> Outcome:
    """Evaluate the challenger on the holdout, record the decision, promote it if it is better."""
    client = runs.connect(workspace)
    version = find_version(workspace, client, challenger)
    options = _Options(floors_only, reinstate)
    for _ in range(_ATTEMPTS):
        outcome = _decide(workspace, version, options)
        if outcome is not None:
            return outcome
        # Another promotion came first: compare with its champion instead.
    raise StepFailed(f"other promotions came first {_ATTEMPTS} times: run promote again")


def _decide(workspace: Workspace, version: "ModelVersion", options: _Options) -> Outcome | None:
    """Compare with the current champion; None if another promotion replaced it meanwhile."""
    current, seen = workspace.records.read()
    if current is not None and current.run_id == version.run_id:
        return _already_champion(workspace, current)
    out = barred(workspace, current)
    if (reason := out.get(str(version.version))) is not None and not options.reinstate:
        return _stays_out(workspace, str(version.version), reason, current)
    opponent = None if options.floors_only else current
    evaluation = evaluate(
        workspace, candidate(workspace, version), opponent, data.load(workspace, "holdout")
    )
    alone = "first champion"
    if current is not None:
        alone = f"in place of version {current.model_version} without a comparison"
    decision = decide(
        evaluation.comparison,
        evaluation.values,
        workspace.settings.promotion,
        first=opponent is None,
        alone=alone,
    )
    try:
        log_metrics(runs.connect(workspace), evaluation)
    except Exception as error:  # noqa: BLE001 - a run that somebody deleted takes no metrics
        evaluation.warnings.append(
            f"MLflow did not take the metrics of the holdout ({first_line(error)}); the decision "
            "keeps them"
        )
    if decision.verdict == "keep":
        return _kept(workspace, evaluation, decision, current)
    champion = _record(workspace, evaluation, current)
    document = decision_document(workspace, "promote", decision.sentence, champion, current)
    document |= {"evaluation": evaluation.document(), "compared": opponent is not None}
    document["barred"] = {name: why for name, why in out.items() if name != champion.model_version}
    key = decision_key(workspace, champion.sequence)
    changed = change(workspace.records, workspace.store, key, seen, champion, _json(document))
    if changed is None:
        return None
    return _promoted(workspace, changed, decision, evaluation)


def _record(workspace: Workspace, evaluation: Evaluation, current: Champion | None) -> Champion:
    numbers = evaluation.comparison
    assert numbers.challenger is not None
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
    workspace: Workspace, evaluation: Evaluation, decision: Decision, current: Champion | None
) -> Outcome:
    """Record that the challenger lost. This is a decision, not a failure."""
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
    alias_warnings = update_aliases(workspace, current) if current else []
    kept = f"version {current.model_version} stays champion" if current else "there is no champion"
    return Outcome(
        lines=[f"kept: {decision.sentence}", f"{kept}; decision {workspace.store.uri(key)}"],
        values=_values(workspace, "keep", decision.sentence, evaluation, key, current),
        warnings=[*evaluation.warnings, *alias_warnings],
    )


def _promoted(
    workspace: Workspace, champion: Champion, decision: Decision, evaluation: Evaluation
) -> Outcome:
    assert champion.decision is not None
    key = champion.decision.key
    return Outcome(
        lines=[
            f"promoted version {champion.model_version} of {champion.model}: {decision.sentence}",
            f"decision {workspace.store.uri(key)}",
        ],
        values=_values(workspace, "promote", decision.sentence, evaluation, key, champion),
        warnings=[*evaluation.warnings, *update_aliases(workspace, champion)],
    )


def _values(
    workspace: Workspace,
    verdict: str,
    sentence: str,
    evaluation: Evaluation,
    key: str,
    champion: Champion | None,
) -> dict[str, Any]:
    numbers = evaluation.comparison
    return {
        "step": "promote",
        "model": workspace.model,
        "verdict": verdict,
        "sentence": sentence,
        "decision_key": key,
        "champion_version": champion.model_version if champion else None,
        "metric": numbers.metric,
        "holdout_value": numbers.challenger.value if numbers.challenger else None,
        "evaluation": evaluation.document(),
    }


def _already_champion(workspace: Workspace, current: Champion) -> Outcome:
    sentence = f"version {current.model_version} is the champion of record already"
    return _unchanged(workspace, sentence, current)


def _stays_out(workspace: Workspace, number: str, reason: str, current: Champion | None) -> Outcome:
    sentence = (
        f"version {number} was rolled back ({reason}) and stays out: train another one, or promote "
        "this one with --reinstate"
    )
    return _unchanged(workspace, sentence, current)


def _unchanged(workspace: Workspace, sentence: str, current: Champion | None) -> Outcome:
    """The outcome if nothing was compared; aliases are corrected anyway."""
    return Outcome(
        lines=[sentence],
        values={
            "step": "promote",
            "model": workspace.model,
            "verdict": "keep",
            "sentence": sentence,
            "decision_key": current.decision.key if current and current.decision else None,
            "champion_version": current.model_version if current else None,
            "metric": current.metric.name if current else None,
            "holdout_value": current.metric.value if current else None,
        },
        warnings=update_aliases(workspace, current) if current else [],
    )


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True).encode()


if __name__ == "__main__":
    main()
