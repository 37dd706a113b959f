"""A model's bytes become a predictor, if the model is fit to answer."""

from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson

from pipeline.data.cells import EPOCHS, ISO
from pipeline.model.artifacts import ModelFacts
from pipeline.serving.worker.predictor import Predictor, Request


class Refused(Exception):
    """The model is not one that may answer; the message says why."""


def load(header: Mapping[str, Any], card: bytes, model: bytes) -> tuple[Predictor, ModelFacts]:
    """Make a predictor of verified bytes, and try it. Raises Refused for a model that is unfit."""
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        facts = ModelFacts.parse(card)
        loaded = skops.io.loads(model, trusted=header["trusted"])
    except UntrustedTypesFoundException as error:
        raise Refused(f"it holds types that are not trusted: {error}") from None
    except Exception as error:  # noqa: BLE001 - whatever a file can do wrong
        raise Refused(f"it cannot be read: {type(error).__name__}: {error}") from None
    try:
        _check_signature(loaded, facts)
        predictor = Predictor(loaded, facts, header["version"], header["max_rows"])
        _try(predictor, facts)
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a model can do wrong
        raise Refused(f"it does not answer: {type(error).__name__}: {error}") from None
    return predictor, facts


def _check_signature(model: Any, facts: ModelFacts) -> None:
    """The model was fitted on the columns that its contract names, and knows no other classes."""
    fitted = [str(name) for name in getattr(model, "feature_names_in_", [])]
    wanted = list(facts.contract.inputs)
    if fitted != wanted:
        raise Refused(
            f"it was fitted on {len(fitted)} columns that are not those of its contract, "
            f"such as {', '.join(sorted(set(fitted) ^ set(wanted))[:3]) or 'in another order'}"
        )
    known = {str(name) for name in getattr(model, "classes_", [])}
    if known - set(facts.contract.classes):
        raise Refused("it knows classes that its contract does not name")


def _try(predictor: Predictor, facts: ModelFacts) -> None:
    """Rows of the contract, with and without gaps, must get an answer; then shorten the way."""
    rows = examples(facts, min(200, predictor.max_rows))
    requests = [Request("", "row", orjson.dumps(row)) for row in rows[:2]]
    for answer in predictor.answer(requests).in_order():
        if answer.status != 200:
            raise Refused(f"it does not answer a row of its contract: {answer.body.decode()}")
    predictor.shorten(rows)


def examples(facts: ModelFacts, count: int) -> list[dict[str, float | str | None]]:
    """Rows that the contract allows: one without a gap, an empty one, then any."""
    random = Random(0)
    features = facts.contract.features
    rows: list[dict[str, float | str | None]] = [
        {name: _draw(random, column) for name, column in features.items()},
        dict.fromkeys(features),
    ]
    while len(rows) < count:
        rows.append(
            {
                name: _draw(random, column) if random.random() > 0.1 else None
                for name, column in features.items()
            }
        )
    return rows


def _draw(random: Random, column: Any) -> float | str:
    if column.kind == "number":
        return random.uniform(float(column.minimum), float(column.maximum))
    if column.kind == "category":
        categories: list[str] = column.categories
        return random.choice([*categories, "never seen before"])
    if column.kind == "date":
        return _moment(random, str(column.format))
    return random.choice(["some words", "others", "07", "3.5"])


def _moment(random: Random, form: str) -> float | str:
    seconds = random.uniform(0, 2e9)
    if form in EPOCHS:
        return float(seconds * 1000 ** ("s", "ms", "us", "ns").index(EPOCHS[form]))
    moment = datetime.fromtimestamp(seconds, UTC)
    quarter = form.replace("%q", str((moment.month + 2) // 3))
    return moment.isoformat() if form == ISO else moment.strftime(quarter)
