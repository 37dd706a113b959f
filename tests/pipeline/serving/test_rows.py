"""Bodies become columns, or an error that says what is wrong."""

import json
import time
from typing import Any

import pytest

from pipeline.serving.worker import rows
from pipeline.serving.worker.rows import BadRequest, parse

pytestmark = pytest.mark.slow

FEATURES = ["a", "b"]
TABLE = {"a": [1, 2], "b": ["x", None]}
FORMS: dict[str, Any] = {
    "split": {"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"], [2, None]]}},
    "split in another order": {
        "dataframe_split": {"columns": ["b", "a"], "index": [7, 8], "data": [["x", 1], [None, 2]]}
    },
    "split with a column too many": {
        "dataframe_split": {"columns": ["a", "c", "b"], "data": [[1, 0, "x"], [2, 0, None]]}
    },
    "records": {"dataframe_records": [{"a": 1, "b": "x"}, {"b": None, "a": 2}]},
    "records with a gap": {"dataframe_records": [{"a": 1, "b": "x"}, {"a": 2}]},
    "instances by name": {"instances": [{"a": 1, "b": "x"}, {"a": 2, "b": None}]},
    "instances by place": {"instances": [[1, "x"], [2, None]]},
    "inputs by place": {"inputs": [[1, "x"], [2, None]]},
    "inputs by column": {"inputs": {"a": [1, 2], "b": ["x", None]}},
    "instances by column": {"instances": {"a": [1, 2], "b": ["x", None]}},
    "inputs by name": {"inputs": [{"a": 1, "b": "x"}, {"a": 2, "b": None}]},
    "empty params": {"params": {}, "instances": [[1, "x"], [2, None]]},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_mlflows_protocol_is_read_alike(form: str) -> None:
    found = parse("json", json.dumps(FORMS[form]).encode(), FEATURES, ())

    assert {name: list(values) for name, values in found.columns.items()} == TABLE
    assert found.count == 2


def test_one_value_for_each_column_is_a_row_as_mlflow_has_it() -> None:
    from mlflow.types import ColSpec, Schema
    from mlflow.utils.proto_json_utils import parse_tf_serving_input

    body = {"inputs": {"a": 1.5, "b": "x"}}
    schema = Schema([ColSpec("double", "a"), ColSpec("string", "b")])
    theirs = parse_tf_serving_input(body, schema)  # type: ignore[no-untyped-call]
    found = parse("json", json.dumps(body).encode(), FEATURES, ())

    assert {name: values[0] for name, values in found.columns.items()} == theirs
    assert found.count == 1


def test_ids_are_kept_where_they_come() -> None:
    body = json.dumps({"inputs": {"a": [1], "b": ["x"], "id": ["7"], "other": [0]}}).encode()

    assert list(parse("json", body, FEATURES, ["id", "second"]).columns) == ["a", "b", "id"]


def test_one_row_has_each_column_and_no_other() -> None:
    found = parse("row", b'{"a": 1, "b": null}', FEATURES, ())
    assert dict(found.columns) == {"a": (1,), "b": (None,)}

    with pytest.raises(BadRequest, match="no columns c") as error:
        parse("row", b'{"a": 1, "b": null, "c": 2}', FEATURES, ())
    assert error.value.details == [{"column": "c", "rule": "unknown column"}]


@pytest.mark.parametrize(
    ("row", "truths"),
    [
        ('[true, "x"]', True),
        ('["x", true]', True),
        ('["x", null, 1e5, false]', True),
        ('["t", 1, -2.5E-3, null]', False),
        ("[1, 2.0, null]", False),
    ],
)
def test_a_truth_value_is_noticed_wherever_it_stands(row: str, truths: bool) -> None:
    names = ["fat", "thin", "left", "right"][: len(json.loads(row))]
    body = f'{{"dataframe_split": {{"columns": {json.dumps(names)}, "data": [{row}]}}}}'

    assert parse("json", body.encode(), names, ()).truths is truths


FAULTS: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "is not JSON"),
    "half of it": (b'{"instances": [[1, "x"', 400, "is not JSON"),
    "NaN": (b'{"instances": [[NaN, "x"]]}', 400, "send null for a missing value"),
    "Infinity": (b'{"instances": [[-Infinity, "x"]]}', 400, "send null for a missing value"),
    "gzip": (b"\x1f\x8b\x08\x00\x00", 400, "is compressed: send it as it is"),
    "a byte order mark": (b'\xef\xbb\xbf{"instances": [[1, "x"]]}', 400, "byte order mark"),
    "a form twice": (b'{"inputs": [[1, "x"]], "inputs": [[2, "x"]]}', 400, "'inputs' twice"),
    "a column twice": (b'{"instances": [{"a": 1, "b": "x", "a": 2}]}', 400, "'a' twice"),
    "a column twice, later": (
        b'{"dataframe_records": [{"a": 1, "b": "x"}, {"a":1, "b":":", "b" :"y"}]}',
        400,
        "'b' twice",
    ),
    "a list of values twice": (b'{"inputs": {"a": [1], "b": [":"], "a": [2]}}', 400, "'a' twice"),
    "data twice": (
        b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"]], "data": [[2, "x"]]}}',
        400,
        "'data' twice",
    ),
    "deep nesting": (b"[" * 100_000, 400, "is not JSON"),
    "deep nesting that ends": (b"[" * 5000 + b"]" * 5000, 400, "is not JSON"),
    "no UTF-8": (b'{"instances": "\xff"}', 400, "is not JSON"),
    "a number": (b"1", 422, "must be an object"),
    "a list": (b"[[1, 2]]", 422, "must be an object"),
    "null": (b"null", 422, "must be an object"),
    "nothing known": (b'{"rows": []}', 422, "write exactly one of dataframe_split"),
    "MLflow's form before version 2": (
        b'{"columns": ["a", "b"], "data": [[1, "x"]]}',
        422,
        "put them into dataframe_split",
    ),
    "two forms": (b'{"inputs": [], "instances": []}', 422, "the body has inputs, instances"),
    "params": (b'{"inputs": [], "params": {"x": 1}}', 422, "takes no params"),
    "no rows": (b'{"instances": []}', 422, "no rows"),
    "no records": (b'{"dataframe_records": []}', 422, "no rows"),
    "no columns": (b'{"inputs": {}}', 422, "no rows"),
    "records that are none": (b'{"dataframe_records": [1]}', 422, "a list of objects"),
    "records in an object": (b'{"dataframe_records": {"a": 1}}', 422, "a list of objects"),
    "instances in a text": (b'{"instances": "1,x"}', 422, "a list of rows"),
    "a ragged row": (b'{"instances": [[1, "x"], [2]]}', 422, "row 1 has 1 values"),
    "a row that is none": (b'{"instances": [[1, "x"], 2]}', 422, "row 1 has no list"),
    "rows of both kinds": (b'{"instances": [[1, "x"], {"a": 1}]}', 422, "row 1 has no list"),
    "uneven columns": (b'{"inputs": {"a": [1], "b": []}}', 422, "not equally long"),
    "a column that is none": (b'{"inputs": {"a": 1, "b": []}}', 422, "a list of values"),
    "split that is none": (b'{"dataframe_split": []}', 422, "must be an object"),
    "split without data": (b'{"dataframe_split": {"columns": ["a"]}}', 422, "a list of rows"),
    "split with a column twice": (
        b'{"dataframe_split": {"columns": ["a", "a"], "data": []}}',
        422,
        "none of them twice",
    ),
    "split with a wrong index": (
        b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"]], "index": 1}}',
        422,
        "index must be a list",
    ),
    "split with an odd key": (
        b'{"dataframe_split": {"columns": [], "data": [], "x": 1}}',
        422,
        "must be an object with columns",
    ),
    "a missing column": (b'{"inputs": {"a": [1]}}', 422, "lacks the columns b"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_body_with_a_fault_is_refused_with_its_place(fault: str) -> None:
    body, status, message = FAULTS[fault]

    with pytest.raises(BadRequest, match=message) as error:
        parse("json", body, FEATURES, ())
    assert error.value.status == status
    assert json.loads(error.value.body())["error"]


TEXTS = ["10:30:00", ":", 'a":b', '":"', " : ", "\\\\", "{}"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("colon", [": ", ":", " : "])
def test_colons_in_texts_are_no_keys(text: str, colon: str) -> None:
    body = json.dumps(
        {"instances": [{"a": 1, "b": text}, {"a": 2, "b": None}]}, separators=(",", colon)
    )

    assert list(parse("json", body.encode(), FEATURES, ()).columns["b"]) == [text, None]
    assert parse("row", json.dumps({"a": 1, "b": text}).encode(), FEATURES, ()).count == 1


def test_a_column_twice_in_one_row_is_refused() -> None:
    with pytest.raises(BadRequest, match="'a' twice"):
        parse("row", b'{"a": 1, "b": "x", "a": 2}', FEATURES, ())


MANY: dict[str, bytes] = {
    "records": b'{"dataframe_records": [' + b",".join([b"{}"] * 11) + b"]}",
    "instances": b'{"instances": [' + b",".join([b'[1, "x"]'] * 11) + b"]}",
    "inputs": json.dumps({"inputs": {"a": [1] * 11, "b": ["x"] * 11}}).encode(),
    "split": json.dumps(
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"]] * 11}}
    ).encode(),
}


@pytest.mark.parametrize("form", MANY)
def test_too_many_rows_are_refused_in_every_form(form: str) -> None:
    with pytest.raises(BadRequest, match="has 11 rows, more than 10") as error:
        parse("json", MANY[form], FEATURES, (), most_rows=10)
    assert error.value.status == 413


@pytest.mark.alone
def test_names_that_no_one_asked_for_take_no_time_in_other_rows() -> None:
    """Names times rows are 80 million values here; a body has room for a hundred times that."""
    rows = [{f"x{row}_{place}": 0 for place in range(20)} for row in range(2000)]
    body = json.dumps({"dataframe_records": [*rows, {"a": 1, "b": "x"}]}).encode()
    started = time.process_time()
    found = parse("json", body, FEATURES, ())

    assert list(found.columns) == ["a", "b"]
    assert time.process_time() - started < 1


def test_a_thousand_missing_columns_are_not_all_listed() -> None:
    with pytest.raises(BadRequest) as error:
        parse("json", b'{"instances": [{}]}', [f"column_{n}" for n in range(1000)], ())

    assert len(error.value.body()) < 3000
    assert "and 980 more" in error.value.message


NUMBER = 600_000
CROWDS = {
    "values in a row": b'{"instances": [[' + b",".join([b"1"] * NUMBER) + b"]]}",
    "an index": b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"]], "index": ['
    + b",".join([b"1"] * NUMBER)
    + b"]}}",
    "empty rows": b'{"instances": [' + b",".join([b"{}"] * (NUMBER // 2)) + b"]}",
    "lists in lists": b'{"instances": [' + b",".join([b"[" * 99 + b"]" * 99] * 6000) + b"]}",
    "columns that nobody asked for": b'{"instances": [{'
    + b",".join(b'"%x":"\\","' % number for number in range(NUMBER))
    + b'"a": 1, "b": "x"}]}',
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_more_values_than_anybody_needs_are_refused_before_they_are_read(
    crowd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(rows, "_json")
    with pytest.raises(BadRequest, match="more than 500000 values") as error:
        parse("json", CROWDS[crowd], FEATURES, (), most_rows=10_000)
    assert error.value.status == 413


@pytest.mark.parametrize("text", ["a, b", "[{", '\\"', "\\"])
def test_signs_in_texts_are_no_values(text: str) -> None:
    body = json.dumps({"instances": [{"a": 1, "b": (text + ",") * 300_000}]}).encode()
    assert parse("json", body, FEATURES, (), most_rows=10_000).count == 1


def test_as_many_rows_as_are_allowed_are_read_whatever_the_width() -> None:
    names = [f"c{number}" for number in range(60)]
    body = json.dumps({"instances": [[1] * 60] * 10_000}).encode()
    assert parse("json", body, names, (), most_rows=10_000).count == 10_000
