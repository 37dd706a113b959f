from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest

from pipeline.data.contract import CategoryColumn, IdColumn, NumberColumn, SchemaContract
from pipeline.data.marks import Marks
from pipeline.errors import InputError
from pipeline.model.artifacts import ModelFacts
from pipeline.model.batch import Counts, write_predictions
from pipeline.model.features import build
from pipeline.predict import _warnings
from pipeline.reading.files import find
from pipeline.reading.formats import Format
from pipeline.settings import Settings

# Long as a whole: `make test` runs it, `make check` does not.
pytestmark = pytest.mark.slow

CONTRACT = SchemaContract(
    model="m",
    target="y",
    features={
        "size": NumberColumn(minimum=-10, maximum=10, null_rate=0.1),
        "colour": CategoryColumn(categories=["green", "red"], null_rate=0),
    },
    others={"y": CategoryColumn(categories=["no", "yes"]), "id": IdColumn()},
    ids=["id"],
)
FACTS = ModelFacts(CONTRACT, "binary", "yes")


@pytest.fixture
def model(make_settings: Callable[..., Settings]) -> Any:
    random = np.random.default_rng(0)
    features = pd.DataFrame(
        {"size": random.normal(size=200), "colour": random.choice(["red", "green"], 200)}
    ).astype({"colour": object})
    target = pd.Series(np.where(features["size"] > 0, "yes", "no"))
    return build(CONTRACT, make_settings(), {"family": "linear"}).fit(features, target)


def _input(rows: int) -> pd.DataFrame:
    random = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "id": range(rows),
            "size": random.normal(size=rows),
            "colour": random.choice(["red", "green"], rows),
        }
    )


@pytest.fixture
def predict(
    model: Any, tmp_path: Path, make_settings: Callable[..., Settings]
) -> Callable[..., tuple[Counts, Path]]:
    def run(
        data: pd.DataFrame | bytes,
        kind: str = "csv",
        chunk: int = 7,
        facts: ModelFacts = FACTS,
        model_: Any = None,
        **read: Any,
    ) -> Any:
        source, folder = tmp_path / f"input.{kind}", tmp_path / f"out-{chunk}-{kind}"
        folder.mkdir(exist_ok=True)
        if isinstance(data, bytes):
            source.write_bytes(data)
        elif kind == "csv":
            data.to_csv(source, index=False)
        else:
            data.to_parquet(source, index=False)
        chosen = make_settings(predict={"chunk_rows": chunk, **read})
        return write_predictions(
            model_ or model, facts, find(source, source.name), folder, chosen
        ), folder

    return run


Predict = Callable[..., tuple[Counts, Path]]


def test_ids_inputs_and_predictions_are_written(predict: Predict, model: Any) -> None:
    counts, folder = predict(_input(20))
    found = pd.read_parquet(folder / "predictions.parquet")
    assert (counts.rows, counts.predicted, counts.rejected) == (20, 20, 0)
    assert found["id"].tolist() == [str(number) for number in range(20)]
    expected = model.predict(_input(20).astype({"colour": object}))
    assert found["prediction"].tolist() == expected.tolist()
    assert not (folder / "rejects.parquet").exists()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_size_of_a_chunk_and_the_kind_of_file_change_nothing(
    predict: Predict, kind: str
) -> None:
    frame = _input(50)
    frame.loc[:20, "colour"] = None
    results = [
        pd.read_parquet(predict(frame, kind, chunk)[1] / "predictions.parquet") for chunk in (3, 50)
    ]
    pd.testing.assert_frame_equal(results[0], results[1])


def test_rows_that_break_the_schema_are_rejected_with_reasons(predict: Predict) -> None:
    frame = _input(20).astype({"size": object})
    frame.loc[8, "size"] = "huge"
    frame.loc[15, "size"] = 99
    counts, folder = predict(frame)
    rejects = pd.read_parquet(folder / "rejects.parquet")
    assert (counts.predicted, counts.rejected) == (18, 2)
    assert rejects["row"].tolist() == [8, 15]
    assert rejects["reason"].tolist() == ["size: not a number", "size: outside -10 to 10"]
    assert rejects["size"].tolist() == ["huge", "99"]
    assert "id" in rejects


def test_a_category_that_training_never_saw_is_predicted_and_counted(predict: Predict) -> None:
    frame = _input(20)
    frame.loc[:4, "colour"] = "blue"
    counts, _ = predict(frame)
    assert counts.predicted == 20
    assert counts.unseen == {"colour": 5}


def test_numbers_without_the_sign_that_each_had_are_predicted_and_counted(
    predict: Predict,
) -> None:
    marks = Marks(remove=("%",))
    size = FACTS.contract.features["size"].model_copy(update={"marks": marks, "marked": True})
    contract = FACTS.contract.model_copy(
        update={"features": {**FACTS.contract.features, "size": size}}
    )
    frame = _input(20).astype({"size": str})
    frame.loc[3:, "size"] += "%"
    counts, _ = predict(frame, facts=replace(FACTS, contract=contract))
    assert (counts.predicted, counts.unseen) == (20, {"size": 3})
    assert _warnings(counts, contract) == [
        "size: 3 of 20 values are without %, which all had in training: do they mean the same?"
    ]


def test_infinite_values_are_rejected(predict: Predict) -> None:
    frame = _input(5)
    frame.loc[0, "size"] = np.inf
    assert predict(frame)[0].reasons == {"size: infinite": 1}


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (b"", "csv", "input.csv is empty"),
        (b"id,size,colour\n", "csv", "has no rows"),
        (b"id,size\n1,2\n", "csv", "lacks the columns colour"),
        (b"id,size,Colour\n1,2,red\n", "csv", "colour .there is 'Colour'"),
        (b"not parquet", "parquet", "is not a Parquet file"),
        (b'id,size,colour\n1,2,red\n1,2,3,4,"5\n', "csv", "a quote that is not closed"),
        (b"id,size,colour\n1,2,red\n1,2,red,\n", "csv", "line 3 .* it ends in a separator"),
        (b"id\tsize\tcolour\n1\t2\tred\n2\t3\tred\n3\t4\tred\n", "csv", r'separator = "\\t"'),
        ("id,size,colour\n1,2,gr\u00fcn\n".encode("cp1252"), "csv", 'encoding = "cp1252"'),
    ],
)
def test_an_input_that_cannot_be_read_is_refused(
    predict: Predict, data: bytes, kind: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        predict(data, kind)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_do_no_harm(predict: Predict, encoding: str) -> None:
    text = _input(20).to_csv(index=False)
    assert predict(text.encode(encoding))[0].predicted == 20


def test_another_encoding_is_read_when_the_settings_name_it(predict: Predict) -> None:
    text = "id,size,colour\n1,2,gr\u00fcn\n"
    assert predict(text.encode("cp1252"), encoding="cp1252")[0].unseen == {"colour": 1}


def test_a_batch_of_another_program_is_read_as_the_settings_say(predict: Predict) -> None:
    content = _input(20).to_csv(index=False, sep=";", decimal=",").encode()
    assert predict(content, separator=";")[0].reasons["size: not a number"] == 20
    dotted = _input(20).to_csv(index=False, sep=";").encode()
    assert predict(dotted, separator=";")[0].predicted == 20


def test_marks_and_words_of_the_batch_are_those_that_its_settings_name(predict: Predict) -> None:
    wide = {**CONTRACT.features, "size": NumberColumn(minimum=-1e4, maximum=1e4, null_rate=0.1)}
    facts = replace(FACTS, contract=CONTRACT.model_copy(update={"features": wide}))
    rows = _input(20).assign(size=lambda frame: (frame["size"] * 1000).round(3))
    usual = pd.read_parquet(predict(rows, facts=facts)[1] / "predictions.parquet")
    told = {"separator": ";", "decimal": ",", "thousands": ".", "missing": ["fehlt"]}
    text = rows.assign(size=[f"{size:,.3f}" for size in rows["size"]])
    swapped = text["size"].str.translate(str.maketrans(",.", ".,"))
    assert swapped.str.contains("[.]").any()
    counts, folder = predict(
        text.assign(size=swapped).to_csv(index=False, sep=";").encode(), facts=facts, **told
    )
    assert counts.rejected == 0
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "predictions.parquet"), usual)
    gone = rows.assign(size="fehlt").to_csv(index=False, sep=";").encode()
    assert predict(gone, **told)[0].missing["size"] == 20
    assert predict(gone, separator=";")[0].reasons["size: not a number"] == 20


def test_a_batch_with_a_header_is_read_by_it_where_training_data_had_none(
    predict: Predict,
) -> None:
    form = Format(header=False, names=["id", "size", "colour", "y"])
    facts = replace(FACTS, contract=CONTRACT.model_copy(update={"format": form}))
    rows = _input(20)[["colour", "size", "id"]]
    counts, folder = predict(rows.to_csv(index=False).encode(), facts=facts, header=True)
    assert (counts.rows, counts.rejected, dict(counts.unseen)) == (20, 0, {})
    assert pd.read_parquet(folder / "predictions.parquet")["id"].tolist() == [
        str(n) for n in rows["id"]
    ]


def test_a_batch_without_a_header_has_the_names_of_the_training_data(predict: Predict) -> None:
    form = Format(header=False, names=["id", "size", "colour", "y"])
    facts = replace(FACTS, contract=CONTRACT.model_copy(update={"format": form}))
    rows = _input(20).to_csv(index=False, header=False).encode()
    assert predict(rows, facts=facts)[0].predicted == 20
    assert (
        predict(_input(20).assign(y="no").to_csv(index=False, header=False).encode(), facts=facts)[
            0
        ].predicted
        == 20
    )


def test_an_id_that_the_batch_lacks_is_counted_as_lost(predict: Predict) -> None:
    counts, folder = predict(_input(20).drop(columns="id"))
    assert counts.lost_ids == ["id"]
    assert "id" not in pd.read_parquet(folder / "predictions.parquet")


def test_a_feature_of_an_outputs_name_is_not_written_over(predict: Predict, model: Any) -> None:
    contract = CONTRACT.model_copy(
        update={
            "features": {**CONTRACT.features, "prediction": CategoryColumn(categories=["old"])},
            "outputs": {"prediction": "model_prediction", "reason": "model_reason"},
        }
    )

    class Both:
        """The model without the new feature."""

        classes_ = model.classes_

        def get_params(self) -> dict[str, Any]:
            return {}

        def set_params(self) -> None:
            pass

        def predict_proba(self, rows: pd.DataFrame) -> Any:
            return model.predict_proba(rows.drop(columns="prediction"))

    frame = _input(20).assign(prediction="old", reason="none").astype({"size": object})
    frame.loc[3, "size"] = "huge"
    source = pd.read_parquet
    counts, folder = predict(frame, facts=replace(FACTS, contract=contract), model_=Both())
    found, bad = source(folder / "predictions.parquet"), source(folder / "rejects.parquet")
    assert set(found["prediction"]) == {"old"}
    assert set(found["model_prediction"]) <= {"yes", "no"}
    assert bad[["reason", "model_reason"]].to_numpy().tolist() == [["none", "size: not a number"]]
    assert counts.rejected == 1


def _write(path: Path, sizes: list[float | None], **options: Any) -> None:
    rows = len(sizes)
    columns = {
        "id": list(range(rows)),
        "size": pyarrow.array(sizes, type=pyarrow.float64()),
        "colour": ["red"] * rows,
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), path, **options)


def _nullable(path: Path) -> dict[str, bool]:
    return {field.name: field.nullable for field in pyarrow.parquet.read_schema(path)}


@pytest.fixture
def predict_parquet(
    model: Any, tmp_path: Path, make_settings: Callable[..., Settings]
) -> Callable[..., Path]:
    """Predict sizes that come as Parquet; gives the file of predictions."""

    def run(sizes: list[float | None], name: str, chunk: int = 3, **options: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        _write(tmp_path / "input.parquet", sizes, **options)
        settings = make_settings(predict={"chunk_rows": chunk})
        files = find(tmp_path / "input.parquet", "input.parquet")
        write_predictions(model, FACTS, files, folder, settings)
        return folder / "predictions.parquet"

    return run


def test_only_a_number_that_is_never_null_in_the_whole_input_is_not_nullable(
    predict_parquet: Callable[..., Path],
) -> None:
    scores = {"prediction": False, "probability_no": False, "probability_yes": False}
    full = predict_parquet([1.0] * 9, "full", row_group_size=4)
    assert _nullable(full) == {"size": False, "colour": True, "id": True} | scores
    late = predict_parquet([*[1.0] * 8, None], "late", row_group_size=4)
    assert _nullable(late) == {"size": True, "colour": True, "id": True} | scores
    unknown = predict_parquet([1.0] * 9, "unknown", write_statistics=False)
    assert _nullable(unknown)["size"]


def test_cells_of_parquet_that_mean_missing_are_written_as_null(predict: Predict) -> None:
    """Its own statistics say that no value is null."""
    texts = _input(20).astype({"size": str})
    texts.loc[3, "size"] = " "
    typed = _input(20).astype({"size": float})
    typed.loc[3, "size"] = -9.0
    size = CONTRACT.features["size"].model_copy(update={"missing": ("", "-9")})
    contract = CONTRACT.model_copy(update={"features": {**CONTRACT.features, "size": size}})
    for frame, facts in ((texts, FACTS), (typed, replace(FACTS, contract=contract))):
        counts, folder = predict(frame, "parquet", facts=facts)
        assert (counts.predicted, counts.rejected) == (20, 0)
        found = pd.read_parquet(folder / "predictions.parquet")
        assert found["size"].isna().tolist() == [n == 3 for n in range(20)]


def test_partitions_with_and_without_missing_values_read_as_one_table(
    predict_parquet: Callable[..., Path],
) -> None:
    files = [predict_parquet([1.0, 2.0], "full"), predict_parquet([1.0, None], "holes")]
    for order in (files, files[::-1]):
        found = pd.concat([pd.read_parquet(file) for file in order])
        table = pyarrow.parquet.read_table([str(file) for file in order])
        assert found["size"].isna().sum() == table["size"].null_count == 1
        assert table.num_rows == 4


@pytest.mark.parametrize("broken", [2.0, 99.0], ids=["all right", "one rejected"])
def test_null_stays_null_and_nan_stays_nan(
    predict_parquet: Callable[..., Path], broken: float
) -> None:
    for other in (3.0, None):
        found = predict_parquet([1.0, float("nan"), broken, other], f"other-{other}")
        size = pyarrow.parquet.read_table(found)["size"]
        assert size.null_count == (1 if other is None else 0)
        assert pyarrow.compute.is_nan(size).to_pylist().count(True) == 1


def test_numbers_are_compressed_only_where_that_makes_them_smaller(
    predict_parquet: Callable[..., Path],
) -> None:
    random = np.random.default_rng(0)
    columns = {"same": [1.5] * 1000, "measured": random.normal(size=1000).tolist()}
    codecs = {}
    for name, sizes in columns.items():
        metadata = pyarrow.parquet.read_metadata(predict_parquet(sizes, name, chunk=500))
        codecs[name] = metadata.row_group(0).column(0).compression
    assert codecs == {"same": "SNAPPY", "measured": "UNCOMPRESSED"}
