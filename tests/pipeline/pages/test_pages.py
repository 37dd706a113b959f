"""Pages: whole HTML that asks nobody for anything, and in which data cannot become code."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import pytest

from pipeline.data.infer import infer
from pipeline.data.prepare import prepare, rows_of
from pipeline.data.splits import define, key_of
from pipeline.evaluation.compare import Comparison, Interval, Subgroup
from pipeline.evaluation.drift import compare, spread
from pipeline.evaluation.explain import Importance
from pipeline.pages import card, data, drift, history
from pipeline.pages.frame import Shares, picture
from pipeline.settings import Monitor, parse_settings

EVIL = "<script>alert('x')</script>&"


class _Checked(HTMLParser):
    """Finds elements that would run, or fetch something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        if tag in {"script", "link", "iframe", "object"} or names & {"href", "onload", "onclick"}:
            self.found.append(tag)
        source = dict(attrs).get("src")
        if source is not None and not source.startswith("data:image/png;base64,"):
            self.found.append(source)


def harmless(page: str) -> str:
    checked = _Checked()
    checked.feed(page)
    assert checked.found == []
    assert page.startswith("<!doctype html>")
    assert "nan" not in re.sub(r"<[^>]*>", " ", page).lower().split()
    return page


def test_the_card_tells_what_a_reader_must_know() -> None:
    interval = Interval(0.9, 0.85, 0.95)
    groups = (
        Subgroup("sex", EVIL, 40, 0.7, 0.8, -0.1, rates={"called positive": 0.25}),
        Subgroup("sex", "m", 60, 0.7, 0.9, -0.2, rates={"called positive": 0.75}),
        Subgroup("sex", "x", 2, why="fewer than 30 rows"),
    )
    shown = card.Card(
        title=f"model {EVIL}",
        facts={"run": EVIL},
        made={"model": "LogisticRegression", "training rows": "1200", "decision": "threshold 0.1"},
        comparison=Comparison("roc_auc", interval, None, None, {}, groups, "100 draws of 9 rows"),
        metrics={"roc_auc": 0.9, "f1": 0.6},
        baseline={"roc_auc": 0.5},
        balance={"no": 95, "yes": 5},
        importance={"Permutation importance": [Importance(EVIL, 0.1, 0.0)]},
    )
    page = harmless(card.render(shown))
    for said in ("0.9000 (0.8500 to 0.9500)", "1200", "threshold 0.1", "5.0%", "fewer than 30"):
        assert said in page
    # The gap between the groups, and a metric that the baseline does not have.
    assert "0.5000<td>" in page or "<td>0.5000" in page
    assert "<td>f1<td>0.6000<td>-" in page


def test_the_drift_page_tells_verdict_thresholds_and_what_was_never_seen() -> None:
    random = np.random.default_rng(0)
    old = pd.DataFrame({EVIL: ["a", "b"] * 100, "p": random.normal(0, 1, 200)})
    new = pd.DataFrame({EVIL: ["a", EVIL] * 100, "p": random.normal(3, 1, 200)})
    report = compare(new, old, [EVIL], ["p"], Monitor())
    shown = drift.DriftPage(
        model="m",
        version="3",
        date="2026-11-28",
        report=report,
        settings=Monitor(),
        reasons=["the predictions drifted"],
        shares={name: Shares(*spread(new[name], old[name])) for name in (EVIL, "p")},
        unseen={EVIL: 100},
        rejected=7,
        performance="roc_auc 0.7 on 50 labelled rows",
        days=[drift.Day("2026-11-27", report)],
        notes=[EVIL],
    )
    page = harmless(drift.render(shown))
    for said in (
        "Retraining is due: the predictions drifted.",
        "200 predicted, 7 rejected",
        "roc_auc 0.7 on 50 labelled rows",
        "50.0%",
        "2026-11-27",
        "distance above 0.2",
    ):
        assert said in page
    assert page.count("<svg") == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([1.0, 2.0, 3.0, np.nan], [2.0, 2.0, np.nan, np.nan]),
        ([5.0, 5.0], [9.0]),
        ([np.nan, np.nan], [1.0]),
        ([], [1.0]),
        (["a", None, "b"], ["c", "c"]),
        ([f"v{number}" for number in range(40)], ["v1", None]),
    ],
)
def test_shares_of_a_column_add_up_to_all_of_its_rows(old: list[object], new: list[object]) -> None:
    names, before, now = spread(pd.Series(new), pd.Series(old))
    assert len(names) == len(before) == len(now)
    assert len(names) == len(set(names)) <= 20
    for share, rows in ((before, old), (now, new)):
        assert sum(share) == pytest.approx(1.0 if rows else 0.0)
    assert "<svg" in picture(Shares(names, before, now))


def test_the_data_page_shows_how_each_column_is_read() -> None:
    settings = parse_settings(
        {
            "model": "m",
            "data": {"source": "x.csv", "target": "y", "id_columns": ["id"]},
            "task": {"type": "regression", "metric": "rmse"},
            "columns": {
                "price": {"type": "number", "thousands": ",", "remove": ["$"]},
                "day": {"type": "date", "format": "%d-%m-%Y", "zone": "Europe/Berlin"},
            },
        },
        origin="test",
    )
    rows = 60
    table = pyarrow.table(
        {
            "id": [f"{number:05}" for number in range(rows)],
            "zip": [f"0{number % 7}116" for number in range(rows)],
            "price": [f"${number + 1},000" for number in range(rows)],
            "day": [f"{number % 27 + 1:02}-03-2026" for number in range(rows)],
            EVIL: [EVIL, "b"] * (rows // 2),
            "nothing": [""] * rows,
            "y": [str(number / 7) for number in range(rows)],
        }
    )
    found = infer(table, settings)
    prepared = prepare(table, found.contract, settings)
    key = key_of(found.contract, table)
    definition = define(rows_of(table, prepared, found.contract, key, settings), key, settings)
    shown = data.DataPage("m", "x.csv", found.contract, definition, {"train": 48}, found.notes)
    page = harmless(data.render(shown, table))
    for said in (
        "%d-%m-%Y, zone Europe/Berlin",
        "remove &#x27;$&#x27;",
        "<td>left out",
        "00116",
    ):
        assert said in page
    assert page.count("<code>00000</code>") == 1
    assert "pattern" not in page


def test_versions_stand_side_by_side_with_what_became_of_them() -> None:
    found = history.History(
        "m",
        [
            {
                "sequence": 1,
                "model_version": "1",
                "kind": "promote",
                "at": "2026-11-28T10:00:00+00:00",
                "by": EVIL,
                "metric": "roc_auc",
                "value": 0.9,
                "low": None,
                "high": None,
                "sentence": "first champion",
            }
        ],
        [
            {
                "model_version": "2",
                "state": f"kept out: {EVIL}",
                "registered": 1_780_000_000_000,
                "run_id": "b",
                "parameters": {"family": "linear", "C": "1"},
                "metrics": {"cv_roc_auc": 0.8, "holdout_roc_auc": 0.85},
            },
            {
                "model_version": "1",
                "state": "champion",
                "registered": 1_770_000_000_000,
                "run_id": "a",
                "parameters": {},
                "metrics": {},
            },
        ],
    )
    page = harmless(history.render(found))
    assert "version 2" in page
    assert "<td>0.8500<td>-" in page
    lines = history.lines(found)
    assert "cv_roc_auc 0.8000, holdout_roc_auc 0.8500" in lines[1]
    assert lines[-1] == "    1  2026-11-28 10:00  promote  version 1  roc_auc 0.9000"


def test_versions_that_differ_in_how_they_decide_say_so() -> None:
    def version(number: str, **parameters: str) -> dict[str, object]:
        known = {"family": "linear", **parameters}
        rest = {"state": "champion", "registered": 1, "run_id": number, "metrics": {}}
        return {"model_version": number, "parameters": known, **rest}

    likeliest = version("1", decision="the likeliest class", calibration="sigmoid")
    fixed = version("2", decision="fixed by the settings, threshold 0.3000", calibration="sigmoid")
    shown = "\n".join(history.lines(history.History("m", [], [fixed, likeliest, version("0")])))
    assert "decision: fixed by the settings, threshold 0.3000" in shown
    assert "decision: the likeliest class" in shown
    assert "decision: not recorded" in shown
    alike = history.lines(history.History("m", [], [likeliest, {**likeliest, "run_id": "b"}]))
    assert not [line for line in alike if "decision" in line or "calibration" in line]
