"""Many requests are answered together, as batch prediction would, and none spoils another."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.data.contract import IdColumn, frame
from pipeline.evaluation.metrics import Task
from pipeline.model import families
from pipeline.model.batch import write_predictions
from pipeline.model.preprocess import Inputs
from pipeline.reading.files import find
from pipeline.serving.worker import lean
from pipeline.serving.worker.direct import direct_or_same
from pipeline.serving.worker.loading import Refused, examples, load
from pipeline.serving.worker.predictor import Predictor, Request
from pipeline.settings import DEFAULT_FILE, load_settings
from tests.pipeline.serving import models

pytestmark = pytest.mark.slow

FAMILIES = ("linear", "random_forest", "histogram_gradient_boosting")


def predictor(model: Any = None, most: int = 1000) -> Predictor:
    return Predictor(model or models.fitted(), models.facts(), "7", most)


def request(body: Any, kind: str = "json", name: str = "id") -> Request:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(name, kind, content)


def answers(found: Predictor, *requests: Request) -> list[tuple[int, Any]]:
    return [
        (answer.status, json.loads(answer.body)) for answer in found.answer(requests).in_order()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_those_of_the_model_and_of_batch_prediction(
    family: str, tmp_path: Path
) -> None:
    model, table = models.fitted(family), models.features()
    table.to_parquet(tmp_path / "batch.parquet", index=False)
    files = find(tmp_path / "batch.parquet", "batch.parquet")
    write_predictions(model, models.facts(), files, tmp_path, load_settings(DEFAULT_FILE))
    batch = pd.read_parquet(tmp_path / "predictions.parquet")
    served = predictor(model)
    served.shorten(examples(models.facts(), 200))
    assert served.is_direct
    found = served.answer([request(models.split(table)), request(models.rows()[0], "row")])

    whole, one = (json.loads(answer.body) for answer in found.in_order())
    assert whole["predictions"] == models.labels(model) == batch["prediction"].tolist()
    assert one["prediction"] == batch["prediction"][0]
    assert one["probabilities"]["malignant"] == pytest.approx(batch["probability_malignant"][0])
    served_chances = found.parts[0].table["probability_malignant"].to_numpy()[: len(table)]
    # With one more row BLAS may add in another order.
    np.testing.assert_allclose(served_chances, batch["probability_malignant"], rtol=1e-12)


def test_csv_and_json_get_the_same_answers() -> None:
    table = models.features()
    found = predictor().answer(
        [request(table.to_csv(index=False).encode(), "csv"), request(models.split(table))]
    )
    texts, values = (json.loads(answer.body)["predictions"] for answer in found.in_order())

    assert texts == values


def test_a_faulty_request_leaves_the_others_their_answers() -> None:
    good = request(models.split(models.features().head(3)), name="good")
    faults = [
        request(b"{"),
        request({"instances": [{**models.rows()[0], "mean radius": "wide"}]}),
        request({"instances": [{**models.rows()[0], "mean radius": 1e9}]}),
        request({"instances": [{**models.rows()[0], "mean radius": [1]}]}),
        request({"instances": [{**models.rows()[0], "mean radius": True}]}),
        request({"instances": [{**models.rows()[0], "mean radius": 10**30}]}),
        request(
            json.dumps({"instances": [{**models.rows()[0], "mean radius": 7}]})
            .encode()
            .replace(b": 7,", b": 1e400,")
        ),
        request({"instances": [{"size": "large"}]}),
        request(models.split(models.features()), name="long"),
    ]
    found = predictor(most=100)
    for fault in faults:
        both = answers(found, good, fault, good)
        assert [status for status, _ in both][0::2] == [200, 200]
        assert both[0][1]["prediction_id"] == "good"
        assert both[1][0] in (400, 413, 422), fault
    statuses = [status for status, _ in answers(found, good, *faults, good)]
    assert statuses == [200, 400, 422, 422, 422, 422, 422, 400, 422, 413, 200]


@pytest.mark.parametrize("depth", [5, 900, 1000, 1015])
def test_deep_nesting_ends_no_process(depth: int) -> None:
    """orjson reads deeper than Python's own reader, which looks at a body that is odd."""
    cell = b"[" * depth + b"1" + b"]" * depth
    whole = json.dumps(models.rows()[0]).encode()
    row = whole.replace(json.dumps(models.rows()[0]["mean radius"]).encode(), cell, 1)
    for kind, body in (("row", row), ("json", b'{"instances": [' + row + b"]}")):
        ((status, said),) = answers(predictor(), request(body, kind))
        assert status in (400, 422), said


@pytest.mark.parametrize("value", [[10.1], {"a": 1}, []])
@pytest.mark.parametrize("column", ["mean radius", "size", "seen"])
def test_a_value_that_is_not_plain_is_refused_with_its_place(column: str, value: object) -> None:
    bad = {**models.rows()[0], column: value}
    ((status, said),) = answers(predictor(), request({"instances": [models.rows()[0], bad]}))
    assert status == 422
    assert said["error"].startswith(f"row 1, column {column}: a plain value is needed, not a")
    assert said["details"] == [{"row": 1, "column": column, "rule": "a plain value is needed"}]


HEADER = ",".join(map(str, models.features())).encode()
LINE = ",".join(map(str, models.rows()[0].values())).encode()
TEXTS: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 422, "is empty"),
    "blank lines": (b"\n\n", 422, "is empty"),
    "a header": (HEADER, 422, "no rows: the first line names the columns"),
    "a header and an end": (HEADER + b"\r\n", 422, "no rows"),
    "latin": (HEADER + b"\n" + LINE.replace(b"large", b"l\xe4rge"), 400, "not UTF-8: byte 0xe4"),
    "two bytes a letter": ((HEADER + b"\n" + LINE).decode().encode("utf-16"), 400, "not UTF-8"),
    "zero bytes": (HEADER + b"\n" + LINE.replace(b"large", b"la\0ge"), 400, "zero bytes"),
    "gzip": (b"\x1f\x8b\x08" + b"\0" * 30, 400, "is compressed"),
    "a column twice": (HEADER + b",size\n" + LINE + b",1", 422, "columns twice: size"),
    # Arrow would take 10 GB of memory for them.
    "eight million columns": (b"," * 8_000_000 + b"\n1", 413, "8000001 columns, more than 10000"),
    "one column four million times": (b"a," * 4_000_000 + b"\n1", 413, "columns, more than"),
    "columns on lines of their own": (b'"\n",' * 1_000_000 + b"\n1", 413, "columns, more than"),
    # Each took three to five seconds, in which nobody got an answer.
    "short rows": (HEADER + b"\n" + b"1\r" * 4_000_000, 413, "more than 500000 values"),
    "short rows below a wide head": (
        b",".join(b"c%d" % n for n in range(9_000)) + b"," + HEADER + b"\n" + b"1\n" * 3_000_000,
        413,
        "more than 500000 values",
    ),
    "short rows in quotes": (HEADER + b"\n" + b'""\n' * 2_700_000, 413, "500000 values"),
    "lines in quotes": (HEADER + b"\n" + b'"\n",' * 2_000_000, 413, "500000 values"),
    "a short row": (HEADER + b"\n1", 422, "has 1 field"),
    "a quote that stays open": (HEADER + b'\n"' + LINE, 422, "a quote that is not closed"),
    "too many rows": (HEADER + b"\n" + (LINE + b"\n") * 1001, 413, "1001 rows, more than 1000"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", TEXTS)
def test_a_faulty_csv_is_refused_with_its_fault(fault: str) -> None:
    body, status, message = TEXTS[fault]
    ((found, said),) = answers(predictor(), request(body, "csv"))

    assert (found, message in said["error"]) == (status, True), said
    assert "[data]" not in said["error"]  # advice for settings, which a client has not


def test_what_breaks_the_contract_is_named_by_row_and_column() -> None:
    wrong = [models.rows()[0], {**models.rows()[0], "mean radius": -1e6, "mean area": 1e9}]
    ((status, body),) = answers(predictor(), request({"instances": wrong}))

    assert status == 422
    assert {(each["row"], each["column"]) for each in body["details"]} == {
        (1, "mean radius"),
        (1, "mean area"),
    }
    assert body["details"][0]["rule"].startswith("outside")


def test_a_missing_value_and_a_category_never_seen_are_answered() -> None:
    odd = [dict.fromkeys(models.features()), {**models.rows()[0], "size": "gigantic"}]
    found = predictor().answer([request({"instances": odd})])

    assert [answer.status for answer in found.in_order()] == [200]
    assert found.parts[0].seen == {"size": 1}


def test_a_model_that_fails_on_one_request_answers_the_others() -> None:
    found = predictor(models.odd("fail"))
    good, bad = request({"instances": models.rows()}), request({"instances": [models.marked()]})

    statuses = [status for status, _ in answers(found, good, bad, good)]
    assert statuses == [200, 503, 200]


def test_a_way_that_answers_otherwise_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.serving.worker.direct import Direct

    real = Direct.predict_proba
    monkeypatch.setattr(Direct, "predict_proba", lambda *all: np.nextafter(real(*all), 1))
    served = predictor()
    served.shorten(examples(models.facts(), 200))

    assert not served.is_direct
    assert answers(served, request(models.rows()[0], "row"))[0][0] == 200


@cache
def both(task: str) -> tuple[Any, Any, dict[str, pyarrow.Array]]:
    """A linear model, the short way to it, and 300 rows, many with gaps."""
    numbers = models.inputs().iloc[:, :5]
    gaps = numbers.mask(np.random.default_rng(0).random(numbers.shape) < 0.1)
    target = {
        "two": models.data()["diagnosis"],
        "three": pd.qcut(numbers["mean area"], 3, labels=["a", "b", "c"]).astype(str),
        "number": numbers["mean area"],
    }[task]
    inputs = Inputs(numbers=[str(name) for name in gaps])
    kind: Task = "regression" if task == "number" else "multiclass"
    prepare, model = families.family("linear").build(inputs, kind, {}, 0, 1)
    fitted = Pipeline([("prepare", prepare), ("model", model)]).fit(gaps, target)
    rows = gaps.head(300)
    columns = {str(name): pyarrow.array(rows[name], from_pandas=True) for name in rows}
    found = direct_or_same(fitted, columns)
    assert found is not None
    return fitted, found, columns


@pytest.mark.slow
@pytest.mark.parametrize("task", ["two", "three", "number"])
@settings_of_hypothesis(deadline=None, max_examples=30)
@given(places=st.lists(st.integers(0, 299), min_size=1, max_size=80))
def test_the_short_way_answers_to_the_last_bit_as_scikit_learn_does(
    task: str, places: list[int]
) -> None:
    fitted, found, columns = both(task)
    part = {name: array.take(pyarrow.array(places)) for name, array in columns.items()}
    for name in ("predict", *(["predict_proba"] if task != "number" else [])):
        ours, theirs = getattr(found, name)(part), getattr(fitted, name)(frame(part))
        np.testing.assert_array_equal(ours, theirs, strict=True)


def test_what_is_not_known_to_the_bit_is_left_to_scikit_learn() -> None:
    class Mine(StandardScaler):  # type: ignore[misc]
        """Whatever it does, it is not what its parent does."""

    table = np.array([[1.0, np.nan], [2.0, 3.0]])
    assert lean.transform(StandardScaler().fit(table)) is not None
    assert lean.transform(Mine().fit(table)) is None
    assert lean.transform(make_pipeline(StandardScaler(), Mine()).fit(table)) is None
    assert lean.transform(SimpleImputer(missing_values=1.0).fit(table[:, :1])) is None
    texts = SimpleImputer(strategy="constant", fill_value="x").fit(np.array([["a"]], dtype=object))
    assert lean.transform(texts) is None
    assert lean.chances(models.fitted("random_forest")[-1]) is None


def test_rows_with_a_name_and_rows_without_one_get_the_same_columns() -> None:
    contract = models.contract().model_copy(
        update={"ids": ["patient"], "others": {**models.contract().others, "patient": IdColumn()}}
    )
    served = Predictor(models.fitted(), replace(models.facts(), contract=contract), "7", 100)
    row = models.rows()[0]
    tables = [
        served.answer([request({"instances": [one]})]).parts[0].table
        for one in ({**row, "patient": "p1"}, row)
    ]
    assert [table["patient"].to_pylist() for table in tables] == [["p1"], [None]]
    assert tables[0].schema.names == tables[1].schema.names
    assert tables[0].schema.types == tables[1].schema.types


def test_a_model_of_another_shape_goes_the_long_way() -> None:
    served = predictor(models.odd("fail"))
    served.shorten(examples(models.facts(), 200))

    assert not served.is_direct


def loaded(model: bytes, card: bytes | None = None, trusted: list[str] = models.TRUSTED) -> Any:
    header = {"version": "1", "trusted": trusted, "max_rows": 100}
    return load(header, card or models.facts().dump(), model)


def test_a_good_model_is_loaded_and_goes_the_short_way() -> None:
    found, facts = loaded(dumped(models.fitted()))
    assert found.is_direct
    assert facts == models.facts()


def dumped(model: Any) -> bytes:
    import skops.io

    found: bytes = skops.io.dumps(model)
    return found


def _other_columns() -> bytes:
    table = models.inputs().rename(columns={"size": "weight"})
    odd = models.Odd("fail").fit(table, models.data()["diagnosis"])
    from sklearn.pipeline import Pipeline

    return dumped(Pipeline([("model", odd)]))


def _other_classes() -> bytes:
    model = models.odd("fail")
    model[-1].classes_ = np.array(["benign", "purple"])
    return dumped(model)


def _always_failing() -> bytes:
    model = models.odd("fail")
    model[-1].predict_proba = None
    return dumped(model)


def test_an_unfit_model_is_refused_with_the_reason() -> None:
    good = dumped(models.fitted())
    with pytest.raises(Refused, match="cannot be read"):
        loaded(b"not a model")
    with pytest.raises(Refused, match="cannot be read"):
        loaded(good[: len(good) // 2])
    with pytest.raises(Refused, match="cannot be read"):
        loaded(good, b'{"contract": {}}')
    with pytest.raises(Refused, match=r"not trusted.*Odd"):
        loaded(dumped(models.odd("fail")), trusted=[])
    with pytest.raises(Refused, match="not those of its contract, such as size, weight"):
        loaded(_other_columns())
    with pytest.raises(Refused, match="classes that its contract does not name"):
        loaded(_other_classes())
    with pytest.raises(Refused, match="does not answer"):
        loaded(_always_failing())
