"""pipeline.toml as typed settings: the one file to edit for another data set."""

import hashlib
import json
import math
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from pipeline.errors import InputError
from pipeline.evaluation.metrics import METRICS, Direction, Metric, Task, names_for, register
from pipeline.model import families
from pipeline.reading.formats import Format
from pipeline.rollouts.plans import RolloutSettings

DEFAULT_FILE = Path(__file__).with_name("pipeline.toml")
_USUAL = Format()


_IMPORT_PATH = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"


def _known_family(name: str) -> str:
    if name not in families.NAMES and not re.match(_IMPORT_PATH, name):
        raise ValueError(
            f"write one of {', '.join(families.NAMES)}, or a class of yours as module:Class, "
            f"not {name!r}"
        )
    return name


Family = Annotated[str, AfterValidator(_known_family)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _as_word(value: object) -> object:
    """A class may be written as it looks: 1, 1.0, true or "yes"."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.0f}" if float(value).is_integer() else repr(value)
    return value


Word = Annotated[str, BeforeValidator(_as_word)]


class ReadSettings(_Section):
    """How files are written; see pipeline/reading/formats.py. Unset keys keep the defaults."""

    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    quote: str | None = None
    escape: str | None = None
    encoding: str | None = None
    header: bool | None = None
    names: list[str] | None = None
    skip_lines: int | None = None
    missing: list[str] | None = None

    def format(self, usual: Format = _USUAL) -> Format:
        """The format with these keys changed."""
        named = {
            name: getattr(self, name)
            for name in ReadSettings.model_fields
            if getattr(self, name) is not None
        }
        if usual.thousands == named.get("decimal"):
            # One mark cannot be both: the nearer line says which it is.
            named.setdefault("thousands", None)
        found = Format.model_validate({**usual.model_dump(), **named})
        if found.decimal == found.thousands:
            raise ValueError(
                f"decimal and thousands are both {found.decimal!r}: write both, decimal is '.' "
                "unless it is written"
            )
        return found


class Data(ReadSettings):
    """Where the rows come from, how they are written, and what each column is for."""

    source: str = Field(pattern=r"^(sklearn:|s3://|https://|kaggle:|package:|file://|[^:]+$)")
    target: str
    positive: Word | None = None
    id_columns: list[str] = []
    drop: list[str] = []
    categories: list[str] = []
    subgroups: list[str] = []
    merge_classes: dict[str, list[Word]] = {}
    drop_classes: list[Word] = []
    batch_fraction: float = Field(default=0.0, ge=0, lt=0.5)

    @model_validator(mode="after")
    def _readable(self) -> Self:
        self.format()
        return self

    @model_validator(mode="after")
    def _one_class_each(self) -> Self:
        old = [name for names in self.merge_classes.values() for name in names]
        if twice := sorted({name for name in old if old.count(name) > 1}):
            raise ValueError(
                f"merge_classes names {', '.join(twice)} more than once: a class becomes one other"
            )
        if both := sorted({*old, *self.merge_classes} & set(self.drop_classes)):
            raise ValueError(
                f"{', '.join(both)}: in merge_classes and in drop_classes; keep one of both"
            )
        return self

    @property
    def shown_source(self) -> str:
        """The source without what may be a secret in its address."""
        return without_secrets(self.source)


def of_day(name: str, day: str) -> str:
    """A file's name with `{date}` in it, as it is called on a day (YYYY-MM-DD)."""
    return name.replace("{date}", day)


def without_secrets(address: str) -> str:
    """A web address without user, password and query, where signatures and tokens stand."""
    if not re.match(r"(?i)(https?|ftp)://", address):
        return address
    scheme, _, rest = address.partition("://")
    if host_of(address) is None:
        # All before the last @ may be a part of the password.
        rest = rest.rpartition("@")[2]
    parts = urlsplit(f"{scheme}://{rest}")
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def host_of(address: str) -> str | None:
    """Host and port; None where a password holds marks that end the host, such as / and #."""
    host = urlsplit(address).netloc.rpartition("@")[2]
    return host if re.fullmatch(r"(\[[^\]]*\]|[^:]*)(:\d+)?", host) else None


class ColumnSettings(_Section):
    """What one column is, instead of inferring it; see pipeline/data/kinds.py."""

    type: Literal["number", "category", "date", "text"] | None = None
    missing: list[str] | None = None
    decimal: str | None = Field(default=None, min_length=1, max_length=1)
    thousands: str | None = Field(default=None, min_length=1, max_length=1)
    remove: list[str] = []
    true: Word | None = None
    false: Word | None = None
    format: str | None = None
    zone: str | None = None
    parts: list[str] = []

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        """A type alone may be written as a text: zip = "category"."""
        return {"type": value} if isinstance(value, str) else value

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        import zoneinfo

        try:
            if zone is not None:
                zoneinfo.ZoneInfo(zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            raise ValueError(
                f"{zone!r} is no time zone; write one such as Europe/Berlin or UTC"
            ) from None
        return zone

    @field_validator("format")
    @classmethod
    def _known_format(cls, form: str | None) -> str | None:
        from pipeline.data.cells import EPOCHS, parse_times

        try:
            if form is not None and form not in EPOCHS:
                parse_times(["x"], form, None)
        except ValueError as error:
            raise ValueError(
                f"{form!r} is no format of times ({error}); write one as Python's strptime takes "
                "it, such as %d.%m.%Y, with Q%q for a quarter"
            ) from None
        return form

    @field_validator("parts")
    @classmethod
    def _known_parts(cls, parts: list[str]) -> list[str]:
        from pipeline.data.dates import PARTS

        if unknown := sorted(set(parts) - set(PARTS)):
            raise ValueError(
                f"no part of a time is called {', '.join(unknown)}; write some of "
                f"{', '.join(PARTS)}"
            )
        return parts

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.decimal is not None and self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}: keep one of both")
        if (self.true is None) != (self.false is None):
            raise ValueError("true and false go together: write both")
        if self.type not in (None, "date") and (self.format or self.zone or self.parts):
            raise ValueError('format, zone and parts are for type = "date"')
        return self


class TaskSettings(_Section):
    """What is predicted, and the metric that counts."""

    type: Task
    metric: str
    direction: Direction | None = None
    class_weight: Literal["balanced"] | dict[str, float] | None = None
    calibration: Literal["sigmoid", "isotonic"] | None = None
    target_transform: Literal["log1p", "sqrt", "yeo-johnson", "quantile"] | None = None

    @model_validator(mode="after")
    def _for_the_task(self) -> Self:
        if self.type == "regression" and (self.class_weight or self.calibration):
            raise ValueError("class_weight and calibration are for classes, not for regression")
        if self.type != "regression" and self.target_transform:
            raise ValueError("target_transform is for regression")
        weights = self.class_weight.values() if isinstance(self.class_weight, dict) else ()
        if not all(0 < weight < math.inf for weight in weights):
            raise ValueError("a class_weight is a number above 0")
        return self

    @model_validator(mode="after")
    def _metric_fits(self) -> Self:
        if re.match(_IMPORT_PATH, self.metric):
            if self.direction is None:
                raise ValueError(
                    f'{self.metric} is a metric of yours: write direction = "maximize" or '
                    '"minimize"'
                )
            register(Metric(self.metric, (self.type,), self.direction, "label"))
            return self
        metric = METRICS.get(self.metric)
        if metric is None or self.type not in metric.tasks:
            raise ValueError(
                f"metric {self.metric!r} does not fit a {self.type} task; "
                f"write one of {', '.join(names_for(self.type))}"
            )
        if self.direction not in (None, metric.direction):
            raise ValueError(
                f"{self.metric} is better the {'larger' if metric.sign > 0 else 'smaller'} it is; "
                f'write direction = "{metric.direction}" or leave the line out'
            )
        return self


class Holdout(_Section):
    """How rows are kept from training: `random` is stratified by class in classification."""

    name: str = Field(default="holdout", pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")
    rule: Literal["random", "group", "time"] = "random"
    column: str | None = None
    fraction: float = Field(default=0.2, gt=0, lt=1)
    seed: int = 0

    @model_validator(mode="after")
    def _column_named(self) -> Self:
        if self.rule != "random" and not self.column:
            raise ValueError(f'rule = "{self.rule}" needs the column: write column = "…"')
        if self.rule == "random" and self.column:
            raise ValueError('column is for rule = "group" or "time"; delete the line')
        return self


class Contract(_Section):
    """How far new data may differ from the first; see pipeline/data/contract.py."""

    range_slack: float = Field(default=0.5, ge=0)
    null_rate_slack: float = Field(default=0.1, ge=0, le=1)
    max_categories: int = Field(default=100, gt=1)
    max_columns: int = Field(default=2000, gt=0)
    max_bad_rows: int = Field(default=0, ge=0)


class Search(_Section):
    """The search for hyperparameters: which families, how long, how validated.

    The model is an average of at most `ensemble` trials; see pipeline/model/average.py.
    """

    families: list[Family] = ["histogram_gradient_boosting", "random_forest", "linear"]
    trials: int = Field(default=20, ge=1, le=500)
    folds: int = Field(default=5, ge=2, le=20)
    seed: int = 0
    parallel: int = Field(default=2, ge=1, le=64)
    ensemble: int = Field(default=5, ge=1, le=20)
    space: dict[Family, dict[str, list[bool | float | int | str]]] = {}

    @field_validator("space")
    @classmethod
    def _ranges(cls, space: dict[str, dict[str, list[Any]]]) -> dict[str, dict[str, list[Any]]]:
        for name, parameters in space.items():
            for parameter, bounds in parameters.items():
                numbers = [bound for bound in bounds if isinstance(bound, int | float)]
                if not bounds:
                    raise ValueError(f"{name}.{parameter} is empty: write two numbers or a list")
                if len(bounds) == len(numbers) == 2 and numbers[0] > numbers[1]:
                    raise ValueError(
                        f"{name}.{parameter} goes from {numbers[0]} to {numbers[1]}: write the "
                        "smaller one first"
                    )
        return space

    @field_validator("families")
    @classmethod
    def _some_family(cls, families: list[Family]) -> list[Family]:
        if not families or len(set(families)) != len(families):
            raise ValueError("name at least one model family, and each only once")
        return families


class DecisionSettings(_Section):
    """How probabilities become a class: at most one of these; see pipeline/model/decision.py.

    `costs` are by true and predicted class: costs.yes.no is what it costs to miss a yes.
    """

    threshold: float | None = Field(default=None, gt=0, lt=1)
    metric: str | None = None
    recall: float | None = Field(default=None, gt=0, le=1)
    costs: dict[str, dict[str, float]] = {}

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        named = [name for name in ("threshold", "metric", "recall", "costs") if getattr(self, name)]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} exclude each other: keep one")
        if not all(0 <= cost < math.inf for row in self.costs.values() for cost in row.values()):
            raise ValueError("a cost is a number, and not below 0")
        return self


class LagSettings(_Section):
    """Earlier values as features; see pipeline/data/lags.py.

    A step is a row, or `every` much time: "1h", or a number where the times are numbers.
    """

    columns: list[str] = []
    steps: list[int] = []
    by: list[str] = []
    every: str | float | None = None

    @property
    def every_seconds(self) -> float | None:
        """The length of a step; a number as it is."""
        if not isinstance(self.every, str):
            return self.every
        import pandas as pd

        return float(pd.Timedelta(self.every).total_seconds())

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        try:
            length = self.every_seconds
        except ValueError:
            length = 0.0
        # NaT, which some words are read as, is not above 0 either.
        if length is not None and not length > 0:
            raise ValueError(
                f"every = {self.every!r} is no length of time: write one such as 1h, 15min or 1D"
            )
        return self

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.columns) != bool(self.steps):
            raise ValueError("columns and steps go together: write both")
        for name in ("columns", "steps", "by"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name} names something twice: write each once")
        if any(step < 1 for step in self.steps):
            raise ValueError("a step is 1 or more: a row may not see itself or what comes after")
        return self


class FeatureSettings(_Section):
    """Additional features made of the inputs; see pipeline/model/preprocess.py.

    `transform` is the user's own transformer, which adds numbers to the inputs.
    """

    text: Literal["tfidf", "hashing"] = "tfidf"
    text_size: int = Field(default=300, ge=2, le=100_000)
    transform: str | None = Field(default=None, pattern=_IMPORT_PATH)


class Evaluation(_Section):
    """What reports show beside the metrics; `shap` needs the package shap for trees."""

    plots: bool = True
    importance_repeats: int = Field(default=3, ge=1, le=100)
    shap: bool = False


class Promotion(_Section):
    """When a challenger replaces the champion; see pipeline/evaluation/compare.py."""

    min_improvement: float = Field(default=0.0, ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    resamples: int = Field(default=1000, ge=100, le=100_000)
    seed: int = 0
    floors: dict[str, float] = {}
    max_subgroup_loss: float | None = Field(default=None, ge=0)
    min_subgroup_rows: int = Field(default=30, ge=1)
    subgroup_floor: float | None = None
    max_subgroup_gap: float | None = Field(default=None, ge=0)
    min_rows: int = Field(default=30, ge=2)


class Predict(ReadSettings):
    """How batches are predicted, and how they are written where that differs from [data]."""

    input: str | None = None
    chunk_rows: int = Field(default=50_000, ge=1)
    max_rejected_fraction: float = Field(default=0.5, ge=0, le=1)


class Monitor(ReadSettings):
    """Labels, how they are written where that differs from [data], and thresholds of drift.

    See pipeline/evaluation/drift.py for the measures.
    """

    max_drifted_fraction: float = Field(default=0.3, ge=0, le=1)
    column_threshold: float = Field(default=0.2, gt=0, le=1)
    prediction_threshold: float = Field(default=0.2, gt=0, le=1)
    labels: str | None = None
    significance: float = Field(default=0.01, gt=0, lt=1)
    min_rows: int = Field(default=30, ge=2)
    history_days: int = Field(default=6, ge=0, le=60)
    max_metric_loss: float | None = Field(default=None, ge=0)


class Serialization(_Section):
    """Types that skops may load beyond its own list; each was reviewed, see docs/pipeline.md."""

    trusted_types: list[str] = Field(default_factory=families.trusted_types)


class Settings(_Section):
    """Everything of pipeline.toml."""

    model: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    data: Data
    task: TaskSettings
    columns: dict[str, ColumnSettings] = {}
    holdout: Holdout = Holdout()
    contract: Contract = Contract()
    features: FeatureSettings = FeatureSettings()
    lags: LagSettings = LagSettings()
    search: Search = Search()
    decision: DecisionSettings = DecisionSettings()
    evaluation: Evaluation = Evaluation()
    promotion: Promotion = Promotion()
    predict: Predict = Predict()
    monitor: Monitor = Monitor()
    rollout: RolloutSettings = RolloutSettings()
    serialization: Serialization = Serialization()

    @property
    def metric(self) -> Metric:
        """The metric that decides, with its direction."""
        return METRICS[self.task.metric]

    @property
    def own_code(self) -> list[str]:
        """Import paths of the user's own code that decides which model is trained."""
        named = [*self.search.families, self.task.metric, self.features.transform or ""]
        return [path for path in named if ":" in path]

    @property
    def unused_columns(self) -> frozenset[str]:
        """Columns of the data that no model sees: ids, dropped ones, the holdout's column."""
        held = {self.holdout.column} if self.holdout.column else set[str]()
        return frozenset({*self.data.id_columns, *self.data.drop, *held, self.data.target})

    def digest(self) -> str:
        """SHA-256 over the settings' meaning; comments, order and secrets do not count."""
        return _digest(self._without_secrets())

    def training_digest(self) -> str:
        """SHA-256 over the settings that decide which model is trained from the stored rows.

        Settings of promotion, prediction and monitoring do not count: they change no model.
        """
        dumped = self.model_dump(mode="json")
        made = {name: dumped[name] for name in ("task", "features", "search", "decision")}
        return _digest({**made, "positive": self.data.positive})

    def reading(self) -> dict[str, dict[str, Any]]:
        """The settings that decide what ingest makes of a source, as far as they are written.

        Without secrets: they are kept beside the data.
        """
        dumped = self.model_dump(
            mode="json", include={"data", "columns", "holdout", "lags"}, exclude_defaults=True
        )
        dumped["data"]["source"] = self.data.shown_source
        dumped["data"].pop("positive", None)  # which class is to be found changes no row
        return dumped

    def _without_secrets(self) -> dict[str, Any]:
        dumped = self.model_dump(mode="json")
        dumped["data"]["source"] = self.data.shown_source
        for section, name in (("predict", "input"), ("monitor", "labels")):
            if dumped[section][name] is not None:
                dumped[section][name] = without_secrets(dumped[section][name])
        return dumped

    def _decision_fits(self) -> None:
        decision = self.decision
        if decision == DecisionSettings():
            return
        if self.task.type == "regression" or (self.task.type != "binary" and not decision.costs):
            raise ValueError(f"[decision] of this kind is not for a {self.task.type} task")
        labels = [n for n in names_for("binary", self.task.metric) if METRICS[n].on == "label"]
        if decision.metric is not None and decision.metric not in labels:
            raise ValueError(
                f"decision.metric {decision.metric!r} does not depend on a threshold; write one of "
                f"{', '.join(labels)}"
            )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        data = self.data
        if (self.task.type == "binary") != (data.positive is not None):
            raise ValueError(
                'a binary task needs data.positive, the class to find: write positive = "…" '
                "under [data]"
                if self.task.type == "binary"
                else f"data.positive is for binary tasks; delete it for {self.task.type}"
            )
        if data.target in {*data.drop, *data.id_columns}:
            raise ValueError(f"data.target {data.target!r} is also dropped or an id")
        for name in data.categories:
            kind = self.columns[name].type if name in self.columns else None
            if kind not in (None, "category"):
                raise ValueError(
                    f"{name!r} is one of data.categories, and a {kind} under [columns]; keep one "
                    "of both"
                )
        for name in ("predict", "monitor"):
            try:
                getattr(self, name).format(data.format())
            except ValidationError as error:
                faults = [{**fault, "loc": (name, *fault["loc"])} for fault in error.errors()]
                raise ValueError("; ".join(map(_advice, faults))) from None
            except ValueError as error:
                raise ValueError(f"[{name}]: {error}") from None
        self._decision_fits()
        if self.lags.columns and self.holdout.rule != "time":
            raise ValueError(
                "[lags] need a holdout by time, or held-out values would be features: write rule = "
                '"time" and the column under [holdout]'
            )
        fair = (self.promotion.subgroup_floor, self.promotion.max_subgroup_gap)
        if any(value is not None for value in fair) and not self.data.subgroups:
            raise ValueError(
                "promotion.subgroup_floor and max_subgroup_gap judge groups: name their columns in "
                "subgroups under [data]"
            )
        for name in self.promotion.floors:
            if name not in names_for(self.task.type, self.task.metric):
                raise ValueError(
                    f"promotion.floors names {name!r}; a {self.task.type} task has "
                    f"{', '.join(names_for(self.task.type, self.task.metric))}"
                )
        return self


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def settings_path(option: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """`--settings`, else KEYLESS_SETTINGS, else the file beside this module."""
    named = environ.get("KEYLESS_SETTINGS", "").strip()
    return option or (Path(named) if named else DEFAULT_FILE)


def load_settings(path: Path) -> Settings:
    """Read and check a settings file.

    Raises InputError that names each faulty key and the line to write instead.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"settings {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # What tomllib says of these names neither the key nor what is wrong with it.
        twice = re.match(r"Cannot (overwrite|declare|mutate)", str(error))
        hint = "; a key or a section is written twice: keep one of each" if twice else ""
        raise InputError(f"settings {path} is not TOML: {error}{hint}") from None
    return parse_settings(raw, origin=str(path))


def parse_settings(raw: Mapping[str, Any], *, origin: str) -> Settings:
    """Check settings that were already parsed from TOML."""
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        faults = [_advice(fault) for fault in error.errors()]
        raise InputError("\n  ".join([f"settings {origin}:", *faults])) from None


def _advice(fault: Any) -> str:
    *sections, key = [str(part) for part in fault["loc"]] or ["settings"]
    where = f"[{'.'.join(sections)}] {key}" if sections else key
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "extra_forbidden":
        return f"{where}: unknown key; delete the line{_nearest(sections, key)}"
    if kind == "missing" and not sections and key in ("data", "task"):
        return f"{where}: missing; write the section [{key}]"
    if kind == "missing":
        return f"{where}: missing; write {key} = …{_section_hint(sections)}"
    if kind == "literal_error":
        return f"{where}: write one of {context.get('expected')}"
    if kind == "value_error":
        return f"{where if fault['loc'] else 'settings'}: {context.get('error')}"
    given = fault.get("input")
    given = without_secrets(given) if isinstance(given, str) else given
    if kind == "list_type" and isinstance(given, str | int | float | bool):
        return f"{where} = {given!r}: write a list, {key} = [{json.dumps(given)}]"
    if kind in ("int_type", "float_type", "bool_type") and isinstance(given, str):
        what = {
            "int_type": "a whole number",
            "float_type": "a number",
            "bool_type": "true or false",
        }
        return f"{where} = {given!r}: write {what[kind]} without quotes"
    if kind == "string_pattern_mismatch" and fault["loc"] in (("model",), ("holdout", "name")):
        slug = re.sub(r"[^a-z0-9]+", "-", str(given).lower()).strip("-")
        advice = f": write {key} = {json.dumps(slug)}" if slug else ""
        return f"{where} = {given!r}: a name has a-z, 0-9 and hyphens{advice}"
    if key == "source" and kind == "string_pattern_mismatch":
        return (
            f"{where} = {given!r}: write a path, file://…, https://…, s3://…, "
            "package:…, kaggle:… or sklearn:…"
        )
    return f"{where} = {given!r}: {fault['msg']}"


def _section_hint(sections: list[str]) -> str:
    return f" under [{'.'.join(sections)}]" if sections else ""


def _nearest(sections: list[str], key: str) -> str:
    import difflib

    model: type[BaseModel] | None = Settings
    for section in sections:
        field = model.model_fields.get(section) if model else None
        inner = field.annotation if field else None
        model = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None
    keys = list(model.model_fields) if model else []
    close = difflib.get_close_matches(key, keys, n=1)
    close = close or [name for name in keys if {key, f"{key}s"} & set(name.split("_"))]
    if close:
        return f" or write {' or '.join(f'{name} = …' for name in close)}"
    return f"; there {'are' if len(keys) > 1 else 'is'} {', '.join(keys)}" if keys else ""
