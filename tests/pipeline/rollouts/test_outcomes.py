"""Logs and feedback of many servers become losses of the variants."""

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.data.contract import CategoryColumn, NumberColumn, SchemaContract
from pipeline.rollouts.observed.outcomes import Outcomes, loss
from pipeline.rollouts.stats.sequential import Sums
from pipeline.storage import FolderStore, Stored

CONTRACT = SchemaContract(
    model="small",
    target="y",
    features={"a": NumberColumn(minimum=0, maximum=1)},
    others={
        "y": CategoryColumn(categories=["no", "yes"], spelling="boolean", true="yes", false="no")
    },
)
BEGAN = datetime(2026, 11, 28, 12, tzinfo=UTC)


class Logs:
    """A store with the logs of servers."""

    def __init__(self, folder: Path) -> None:
        self.store, self.now = FolderStore(folder), BEGAN + timedelta(hours=1)
        self.number = 0

    def put(self, area: str, rows: list[dict[str, Any]], day: str = "2026-11-28") -> None:
        self.number += 1
        key = f"predictions/small/{area}date={day}/model_version=1/{self.number}.parquet"
        buffer = io.BytesIO()
        pd.DataFrame(rows).to_parquet(buffer, index=False)
        self.store.put(key, buffer.getvalue())

    def feedback(
        self, rows: list[dict[str, Any]], day: str = "2026-11-28", at: str = "120500"
    ) -> None:
        self.number += 1
        key = f"predictions/small/_feedback/date={day}/{at}-server-{self.number}.json"
        self.store.put(key, json.dumps(rows).encode())

    def read(self) -> Outcomes:
        found = Outcomes(self.store, "predictions/small", CONTRACT, "e1", BEGAN, lambda: self.now)
        found.refresh()
        return found


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path)


def answer(number: int, variant: str = "champion", unit: str | None = None, **more: Any) -> Any:
    return {
        "a": 1.0,
        "prediction": "yes",
        "probability_no": 0.2,
        "probability_yes": 0.8,
        "keyless_prediction_id": f"id-{number}",
        "keyless_row": 0,
        "keyless_assigned": variant,
        "keyless_unit": unit or f"unit-{number}",
        "keyless_experiment": "e1",
        "keyless_received_at": BEGAN.isoformat(),
        **more,
    }


def outcome(number: int, value: Any, at: str = "2026-11-28T12:00:00", row: int = 0) -> Any:
    return {
        "prediction_id": f"id-{number}",
        "row": row,
        "outcome": value,
        "received_at": at,
    }


def test_losses_are_joined_over_servers_and_days(logs: Logs) -> None:
    logs.put("", [answer(1), answer(2, "challenger")])
    logs.put("", [answer(3), answer(4, "challenger")], day="2026-11-29")
    logs.feedback([outcome(1, "yes"), outcome(2, "no")])
    logs.feedback([outcome(4, "yes"), outcome(9, "yes")], day="2026-11-30")
    found = logs.read()

    assert found.units() == {"champion": 2, "challenger": 2}
    assert found.losses("error") == {"champion": Sums(1, 0, 0), "challenger": Sums(2, 1, 1)}


def test_what_came_later_is_read_in_addition(logs: Logs) -> None:
    found = logs.read()
    assert found.units() == {}
    assert found.losses("error") == {}
    assert found.paired("error") == Sums()
    logs.put("", [answer(1)])
    logs.feedback([outcome(1, "no")])
    found.refresh()
    logs.put("", [answer(2)])
    logs.feedback([outcome(2, "yes")])
    found.refresh()

    assert found.losses("error")["champion"] == Sums(2, 1, 1)


def test_a_key_counts_once_with_its_first_outcome(logs: Logs) -> None:
    logs.put("", [answer(1, unit="u"), answer(2, unit="u"), answer(3, unit="v")])
    logs.feedback([outcome(1, "no", "2026-11-28T12:00:09"), outcome(3, "yes")])
    logs.feedback([outcome(2, "yes", "2026-11-28T12:00:01")])
    found = logs.read()

    assert found.units()["champion"] == 2
    assert found.losses("error")["champion"] == Sums(2, 0, 0)


def test_keys_count_for_the_sample_ratio_once_the_logs_of_both_arms_are_there(logs: Logs) -> None:
    """Each model's log is a file of its own: between two uploads one arm seems to lose keys."""
    late = (BEGAN + timedelta(minutes=58)).isoformat()
    logs.put("", [answer(1), answer(2, "challenger")])
    logs.put("", [answer(number, keyless_received_at=late) for number in range(3, 500)])
    between = logs.read()
    logs.put(
        "", [answer(number, "challenger", keyless_received_at=late) for number in range(500, 997)]
    )
    logs.now += timedelta(minutes=2)

    assert between.units() == {"champion": 1, "challenger": 1}
    assert logs.read().units() == {"champion": 498, "challenger": 498}


def test_an_outcome_that_was_sent_again_counts_once(logs: Logs) -> None:
    logs.put("", [answer(1)])
    logs.feedback([outcome(1, "yes", "2026-11-28T12:00:01")])
    logs.feedback([outcome(1, "no", "2026-11-28T12:00:02")])

    assert logs.read().losses("error")["champion"] == Sums(1, 0, 0)


def test_other_experiments_earlier_days_and_batch_predictions_do_not_count(logs: Logs) -> None:
    logs.put("", [answer(1, keyless_experiment="e0"), answer(2, keyless_experiment=None)])
    logs.put("", [answer(3)], day="2026-11-27")
    logs.put("", [{"a": 1.0, "prediction": "yes"}])
    logs.feedback([outcome(number, "yes") for number in (1, 2, 3)])

    assert logs.read().losses("error") == {}


def test_a_server_whose_clock_is_some_minutes_late_is_heard(logs: Logs) -> None:
    logs.put("", [answer(1), answer(2)], day="2026-11-27")
    logs.feedback([outcome(1, "yes")], day="2026-11-27", at="235500")
    began = datetime(2026, 11, 28, 0, 5, tzinfo=UTC)
    found = Outcomes(logs.store, "predictions/small", CONTRACT, "e1", began, lambda: logs.now)
    found.refresh()
    assert found.losses("error")["champion"].count == 1


def test_feedback_from_before_the_rollout_is_not_even_read(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server stores five objects a second: of a whole day a controller would read for hours."""
    logs.put("", [answer(1)])
    for at in ("000000", "114459", "114500", "120001"):
        logs.feedback([outcome(1, "yes")], at=at)
    keep, keys = logs.store.read, list[str]()

    def read(key: str) -> tuple[bytes, Stored]:
        keys.append(key)
        return keep(key)

    monkeypatch.setattr(logs.store, "read", read)
    logs.read()
    assert [key.rpartition("/")[2][:6] for key in keys if "_feedback" in key] == [
        "114500",
        "120001",
    ]


def test_copies_are_paired_with_answers_row_by_row(logs: Logs) -> None:
    logs.put("", [answer(1), answer(1, keyless_row=1), answer(2), answer(3)])
    logs.put("_shadow/", [answer(1, prediction="no", keyless_row=1), answer(2, prediction="no")])
    logs.feedback([outcome(1, "no", row=1), outcome(2, "yes"), outcome(3, "no")])
    champion, challenger = logs.read().pairs()

    assert len(champion) == len(challenger) == 2
    assert (champion["keyless_prediction_id"] == challenger["keyless_prediction_id"]).all()
    assert logs.read().paired("error") == Sums(2, 0, 2)


@pytest.mark.parametrize("value", [1e300, -1e200, "1e300", "inf", "1e999", 10**200, "9" * 400])
def test_one_absurd_outcome_does_not_blind_the_test(logs: Logs, value: Any) -> None:
    """Sums with it would be infinite, so that no guard and no test could decide any more."""
    logs.put("", [answer(number) for number in range(3)])
    logs.feedback([outcome(0, 2.0), outcome(1, value), outcome(2, 4.0)])

    assert logs.read().losses("value")["champion"] == Sums(2, -6.0, 20.0)


def test_outcomes_that_are_no_number_are_left_out(logs: Logs) -> None:
    logs.put("", [answer(1), answer(2)])
    logs.feedback([outcome(1, "12.5"), outcome(2, "much")])

    assert logs.read().losses("value")["champion"] == Sums(1, -12.5, 12.5**2)


@pytest.mark.parametrize(
    ("kind", "right", "odd"), [("error", "yes", "purple"), ("brier", True, 7), ("value", 3, "much")]
)
def test_an_outcome_that_says_nothing_is_left_out_and_counted(
    kind: Any, right: Any, odd: Any, logs: Logs
) -> None:
    """One such among hundreds made the promotion rule refuse the challenger."""
    logs.put("", [answer(1), answer(2)])
    logs.put("_shadow/", [answer(1, prediction="no"), answer(2)])
    logs.feedback([outcome(1, odd), outcome(2, right)])
    found = logs.read()

    assert found.odd(kind) == 1
    assert found.losses(kind)["champion"].count == 1
    champion, challenger = found.pairs()
    # The rule compares classes, whatever the loss is.
    kept = [] if kind == "value" else ["id-2"]
    assert list(champion["keyless_prediction_id"]) == kept
    assert list(challenger["keyless_prediction_id"]) == kept


@pytest.mark.parametrize(
    ("kind", "prediction", "truth", "wanted"),
    [
        ("error", "yes", "yes", 0),
        ("error", "yes", "no", 1),
        ("error", "yes", True, 0),
        ("error", "yes", 1, 0),
        ("error", "yes", "False", 1),
        ("error", "yes", "purple", np.nan),
        ("brier", "yes", "yes", 2 * 0.2**2),
        ("brier", "yes", "no", 2 * 0.8**2),
        ("absolute", 3.0, 5, 2),
        ("squared", 3.0, "5", 4),
        ("value", 3.0, 19.5, -19.5),
    ],
)
def test_each_kind_of_loss(kind: Any, prediction: Any, truth: Any, wanted: float) -> None:
    table = pd.DataFrame(
        {
            "prediction": [prediction],
            "probability_no": [0.2],
            "probability_yes": [0.8],
            "outcome": [truth],
        }
    )

    np.testing.assert_allclose(loss(table, kind, CONTRACT), [wanted])
