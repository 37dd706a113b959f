import json
import re
import tomllib
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from pipeline.errors import InputError
from pipeline.settings import (
    DEFAULT_FILE,
    Data,
    ReadSettings,
    Settings,
    load_settings,
    parse_settings,
    settings_path,
)
from tests import ROOT

MINIMAL = """
model = "m"
[data]
source = "data.csv"
target = "y"
positive = "yes"
[task]
type = "binary"
metric = "roc_auc"
"""


def _raw(**sections: dict[str, Any]) -> dict[str, Any]:
    raw: dict[str, Any] = tomllib.loads(MINIMAL)
    for name, values in sections.items():
        raw[name] = {**raw.get(name, {}), **values}
    return raw


@pytest.mark.parametrize("name", ["pipeline.toml", "pipeline.example-regression.toml"])
def test_the_settings_files_that_come_with_the_pipeline_are_valid(name: str) -> None:
    assert load_settings(DEFAULT_FILE.with_name(name)).model


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"holdout": {"name": "Second_1"}}, r'a-z, 0-9 and hyphens: write name = "second-1"'),
        ({"search": {"trails": 3}}, r"\[search\] trails: unknown key.*write trials ="),
        (
            {"search": {"trials": "3"}},
            r"\[search\] trials = '3': write a whole number without quotes",
        ),
        (
            {"data": {"missing": "NA"}},
            r"\[data\] missing = 'NA': write a list, missing = \[\"NA\"\]",
        ),
        ({"data": {"header": "no"}}, r"header = 'no': write true or false without quotes"),
        ({"search": {"trials": 0}}, r"\[search\] trials = 0"),
        ({"search": {"families": []}}, r"at least one model family"),
        ({"search": {"families": ["prophet"]}}, r"\[search.families\] 0: write one of catboost"),
        ({"task": {"metric": "rmse"}}, r"'rmse' does not fit a binary task; write one of roc_auc"),
        ({"task": {"metric": "auc"}}, r"'auc' does not fit"),
        ({"task": {"direction": "minimize"}}, r'write direction = "maximize"'),
        ({"task": {"type": "clustering"}}, r"\[task\] type: write one of 'binary'"),
        ({"data": {"drop": ["y"]}}, r"target 'y' is also dropped"),
        ({"data": {"source": "ftp://x/y.csv"}}, r"source = 'ftp://x/y.csv': write a path, file://"),
        ({"holdout": {"rule": "group"}}, r'rule = "group" needs the column'),
        ({"holdout": {"column": "x"}}, r'column is for rule = "group" or "time"'),
        ({"columns": {"x": {"format": "%d.%k"}}}, r"'%d.%k' is no format of times .*strptime"),
        ({"columns": {"x": {"format": "%q %Y"}}}, r"is no format of times .*Q%q for a quarter"),
        ({"data": {"thousands": "."}}, r"decimal and thousands are both '\.': write both"),
        ({"columns": {"x": {"decimal": ",", "thousands": ","}}}, r"\[columns\] x: .* are both ','"),
        ({"predict": {"thousands": "."}}, r"\[predict\]: decimal and thousands are both '\.'"),
        ({"monitor": {"encoding": "xx"}}, r"\[monitor\] encoding: 'xx' is no encoding"),
        ({"predict": {"skip_lines": -1}}, r"\[predict\] skip_lines = -1"),
        ({"holdout": {"fraction": 1.0}}, r"\[holdout\] fraction = 1.0"),
        ({"promotion": {"floors": {"rmse": 1.0}}}, r"floors names 'rmse'"),
        ({"promotion": {"min_improvement": -0.1}}, r"\[promotion\] min_improvement = -0.1"),
        ({"nonsense": {"x": 1}}, r"nonsense: unknown key; .* there are model, data, task"),
        ({"data": {"id": "n"}}, r"\[data\] id: unknown key; .* write id_columns ="),
        ({"data": {"column": "n"}}, r"\[data\] column: unknown key; .* write id_columns ="),
        ({"evaluation": {"x": 1}}, r"there are plots, importance_repeats, shap"),
        ({"serialization": {"x": 1}}, r"there is trusted_types"),
        (
            {"data": {"merge_classes": {"a": ["c"], "b": ["c", "d"]}}},
            r"merge_classes names c more than once",
        ),
        (
            {"data": {"merge_classes": {"a": ["c"]}, "drop_classes": ["c"]}},
            r"c: in merge_classes and in drop_classes",
        ),
        (
            {"data": {"categories": ["x"]}, "columns": {"x": "text"}},
            r"'x' is one of data\.categories, and a text under \[columns\]",
        ),
        ({"lags": {"columns": ["x", "x"], "steps": [1]}}, r"columns names something twice"),
        ({"lags": {"columns": ["x"], "steps": [1, 1]}}, r"steps names something twice"),
    ],
)
def test_a_wrong_key_is_refused_with_the_line_to_write(
    sections: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        parse_settings(_raw(**sections), origin="pipeline.toml")


def test_a_section_that_is_missing_is_named_as_one() -> None:
    with pytest.raises(InputError, match=r"task: missing; write the section \[task\]"):
        parse_settings({"model": "m", "data": {"source": "x", "target": "y"}}, origin="test")


def test_a_binary_task_needs_its_positive_class() -> None:
    raw = _raw()
    del raw["data"]["positive"]
    with pytest.raises(InputError, match=r"a binary task needs data\.positive"):
        parse_settings(raw, origin="pipeline.toml")


def test_a_missing_key_is_named_with_its_section() -> None:
    raw = _raw()
    del raw["data"]["target"]
    with pytest.raises(InputError, match=r"\[data\] target: missing; write target = … under"):
        parse_settings(raw, origin="pipeline.toml")


def test_a_model_name_that_no_parameter_can_carry_is_refused() -> None:
    with pytest.raises(InputError, match=r"model = '\.\./x'"):
        parse_settings({**_raw(), "model": "../x"}, origin="pipeline.toml")


def test_a_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text("model =")
    with pytest.raises(InputError, match="is not TOML"):
        load_settings(path)
    for doubled in ("model = 'a'\nmodel = 'b'", "[data]\n[data]", "[columns]\nc = 1\n'c' = 2"):
        path.write_text(doubled)
        with pytest.raises(InputError, match="is written twice: keep one of each"):
            load_settings(path)


def test_a_byte_order_mark_in_the_settings_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text(MINIMAL, encoding="utf-8-sig")
    assert load_settings(path).model == "m"


def test_the_option_comes_before_the_variable_and_that_before_the_default() -> None:
    environ = {"KEYLESS_SETTINGS": "other.toml"}
    assert settings_path(Path("mine.toml"), environ) == Path("mine.toml")
    assert settings_path(None, environ) == Path("other.toml")
    assert settings_path(None, {}) == DEFAULT_FILE


def test_the_digest_follows_the_meaning_and_not_the_spelling(
    make_settings: Callable[..., Settings],
) -> None:
    raw = _raw()
    turned = dict(reversed(list(raw.items())))
    same = parse_settings(turned, origin="test").digest()
    assert parse_settings(raw, origin="test").digest() == same
    assert parse_settings(_raw(search={"seed": 5}), origin="test").digest() != same


def test_a_mark_that_becomes_the_decimal_one_divides_no_thousands_any_more() -> None:
    """42.5 was read as 425 where a batch has a decimal point and the data has 1.234,5."""
    raw = _raw(data={"decimal": ",", "thousands": "."}, predict={"decimal": "."}, monitor={})
    settings = parse_settings(raw, origin="test")
    usual = settings.data.format()
    assert settings.predict.format(usual).thousands is None
    assert settings.monitor.format(usual).thousands == "."
    # Of a batch alone the mark for thousands may be another one.
    other = _raw(data={"decimal": ","}, predict={"thousands": "."})
    assert parse_settings(other, origin="test").predict.thousands == "."


def sections(model: type[BaseModel], name: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every table of the settings file with what describes it."""
    yield name, model
    for key, field in model.model_fields.items():
        of = [field.annotation, *typing.get_args(field.annotation)]
        for inner in of if key != "steps" else ():
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from sections(inner, f"{name}.{key}" if name else key)


def written_defaults(model: type[BaseModel]) -> dict[str, str | None]:
    """Each key of a table and its default as TOML; None for one that cannot be written so."""
    found = dict[str, str | None]()
    said_once = () if model is Data else ReadSettings.model_fields
    for key, field in model.model_fields.items():
        value = field.get_default(call_default_factory=True, validated_data={})
        if isinstance(value, BaseModel) or (issubclass(model, ReadSettings) and key in said_once):
            continue
        absent = value is None or field.is_required()
        found[key] = None if field.default_factory else "" if absent else f"`{json.dumps(value)}`"
    return found


def test_the_page_of_settings_has_every_key_with_its_default() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    told = {
        heading: dict(re.findall(r"(?m)^\| `(\w+)` \| ?(.*?) ?\| ", text))
        for heading, text in re.findall(r"(?ms)^##+ (.+?)\n(.*?)(?=^##|\Z)", page)
    }
    there = {f"`[{name}]`" if name else "Top": model for name, model in sections(Settings)}
    assert told.keys() == there.keys()
    for heading, model in there.items():
        known = written_defaults(model)
        wanted = {
            key: value
            for key, value in known.items()
            if heading != "Top" or f"`[{key}]`" not in there
        }
        assert told[heading].keys() == wanted.keys(), heading
        for key, value in wanted.items():
            assert value in (None, told[heading][key]), (heading, key)
