"""What each step reports: one model a step, which --result writes and summaries read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Document = Mapping[str, Any]
"""A document that is stored elsewhere too, such as an evaluation or a drift report."""


class Result(BaseModel):
    """What every step reports; `seconds` is how long it took.

    A value that the model does not name yet is kept rather than lost; a test finds it.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    model: str
    seconds: float | None = None

    def values(self) -> dict[str, Any]:
        """What was reported, and nothing that was not."""
        return self.model_dump(exclude_unset=True)


class IngestResult(Result):
    """Rows by side, where they are stored, and what was noticed about them."""

    step: Literal["ingest"]
    source: str
    raw_sha256: str
    rows: Mapping[str, int]
    features: int
    keys: Mapping[str, str]
    notes: list[str]
    report: str | None = None


class TrainResult(Result):
    """The challenger. Without `cv_value` it was there already, and nothing was trained."""

    step: Literal["train"]
    model_version: str
    run_id: str
    reused: bool
    metric: str | None = None
    cv_value: float | None = None
    parameters: Document | None = None
    trials: int | None = None
    trials_recalled: int | None = None


class RegisterResult(Result):
    """The version that is the challenger again."""

    step: Literal["register"]
    model_version: str
    run_id: str


class EvaluateResult(Result):
    """Where an evaluation that decides nothing is stored, and all that it says beside this."""

    step: Literal["evaluate"]
    evaluation_key: str
    model_version: str
    run_id: str


class PromoteResult(Result):
    """The decision, and the champion after it."""

    step: Literal["promote"]
    verdict: Literal["promote", "keep"]
    sentence: str
    decision_key: str | None
    champion_version: str | None
    metric: str | None
    holdout_value: float | None
    evaluation: Document | None = None


class PredictResult(Result):
    """The batch's manifest, and what was noticed about the champion."""

    step: Literal["predict"]
    alias_disagreement: str | None
    overwritten: list[str]
    output: str
    schema_version: int
    model_version: str
    run_id: str
    champion_sequence: int
    input: str
    input_sha256: str
    date: str
    rows: int
    predicted: int
    rejected: int
    unseen_categories: Mapping[str, int]
    far_times: Mapping[str, int] = {}
    contract: Document
    positive: Any
    reference: Document | None
    manifest: str
    predictions: str | None
    rejects: str | None


class MonitorResult(Result):
    """Whether the model should be trained again, and the reports that say why."""

    step: Literal["monitor"]
    model_version: str
    date: str
    retrain: bool
    drift: Document | None
    performance: Document | None
    alias_disagreement: str | None = None
    report: str | None = None
    report_json: str | None = None


class RollbackResult(Result):
    """The champion that is back, and the one that it replaced."""

    step: Literal["rollback"]
    champion_version: str
    replaced_version: str | None
    sequence: int
    reason: str


class AuditResult(Result):
    """The story of a version: training, decisions, predictions."""

    step: Literal["audit"]
    model_version: str
    run_id: str | None
    champion_of_record: bool
    aliases: list[str]
    trained: Mapping[str, str | None]
    decisions: list[Document]
    replaced: list[Document] = []
    predictions: list[Document]
    mlflow_changes: list[Document] = []
    mlflow_sessions: list[Document] = []
    unreadable: list[str]


class ModelsResult(Result):
    """Champions over time, and versions side by side."""

    step: Literal["models"]
    champions: list[Document]
    versions: list[Document]


class RolloutResult(Result):
    """What a verb of the rollout came to; `ended` says that there is nothing more to watch."""

    step: Literal["rollout"]
    verb: str
    sentence: str | None = None
    ended: bool | None = None
    moved: bool | None = None
    policy: Document | None = None
    tallies: Mapping[str, Document] | None = None
    guards: list[Document] | None = None
    statistics: list[str] | None = None
    policies: list[Document] | None = None
    sequential: int | None = None
    fixed: int | None = None


AnyResult = Annotated[
    IngestResult
    | TrainResult
    | RegisterResult
    | EvaluateResult
    | PromoteResult
    | PredictResult
    | MonitorResult
    | RollbackResult
    | AuditResult
    | ModelsResult
    | RolloutResult,
    Field(discriminator="step"),
]
_ANY: TypeAdapter[AnyResult] = TypeAdapter(AnyResult)


def parse_result(values: Mapping[str, Any]) -> AnyResult:
    """The result that a step reports. Raises pydantic.ValidationError for another one."""
    return _ANY.validate_python(dict(values))


def read_result(path: Path) -> AnyResult:
    """Read what --result wrote. Raises OSError, or pydantic.ValidationError for another file."""
    return _ANY.validate_json(path.read_bytes())
