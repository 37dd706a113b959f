"""Files with the traits of thirteen public ones: ten are read by the shortest settings at once, the
others by the lines that the first message says."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pipeline import ingest

ROWS = 120
_N = range(ROWS)
_RANDOM = np.random.default_rng(12)


def _numbers(low: float, high: float, digits: int = 2) -> list[str]:
    return [f"{value:.{digits}f}" for value in _RANDOM.uniform(low, high, ROWS)]


def _whole(low: int, high: int) -> list[str]:
    return [str(value) for value in _RANDOM.integers(low, high, ROWS)]


def _words(*words: str) -> list[str]:
    return [str(word) for word in _RANDOM.choice(words, ROWS)]


def _gaps(values: list[str], gap: str, every: int = 9) -> list[str]:
    return [gap if place % every == 4 else value for place, value in enumerate(values)]


def _hours(form: str) -> list[str]:
    start = np.datetime64("2012-01-01T01")
    return [(start + np.timedelta64(7 * n, "h")).astype(object).strftime(form) for n in _N]


@dataclass(frozen=True)
class File:
    """A file as it is published, the settings that anyone would write first, and what to add.

    `line` begins what the first message says to write, with which the second run works; most need
    none.
    """

    columns: dict[str, list[str]]
    settings: str
    separator: str = ","
    header: bool = True
    quoted: bool = False
    line: str | None = None

    @property
    def text(self) -> str:
        """The file's content."""
        rows = [list(row) for row in zip(*self.columns.values(), strict=True)]
        found = [list(self.columns)] * self.header
        if self.quoted:
            found = [[f'"{name}"' for name in row] for row in found]
            rows = [
                [cell if cell.replace(".", "").isdigit() else f'"{cell}"' for cell in row]
                for row in rows
            ]
        return "\n".join(self.separator.join(row) for row in [*found, *rows]) + "\n"


def _binary(positive: str, more: str = "") -> str:
    return f'positive = "{positive}"\n{more}[task]\ntype = "binary"\nmetric = "roc_auc"\n'


REGRESSION = '[task]\ntype = "regression"\nmetric = "rmse"\n'
BY_TIME = '[holdout]\nrule = "time"\ncolumn = "{}"\n'

FILES = {
    "stroke": File(
        {
            "id": [str(9046 + 13 * n) for n in _N],
            "gender": _words("Male", "Female"),
            "age": _whole(20, 80),
            "ever_married": _words("Yes", "No"),
            "bmi": _gaps(_numbers(18, 40, 1), "N/A"),
            "smoking_status": _words("smokes", "never smoked", "Unknown"),
            "stroke": ["1" if n % 8 == 0 else "0" for n in _N],
        },
        'target = "stroke"\nid_columns = ["id"]\n' + _binary("1"),
    ),
    "wind power": File(
        {
            "TIMESTAMP": _hours("%Y-%m-%d %H:%M:%S"),
            "TARGETVAR": _numbers(0, 1, 6),
            "U10": _numbers(-5, 5, 8),
        },
        'target = "TARGETVAR"\n' + REGRESSION + BY_TIME.format("TIMESTAMP"),
    ),
    "Titanic": File(
        {
            "PassengerId": [str(n + 1) for n in _N],
            "Survived": _whole(0, 2),
            "Pclass": _whole(1, 4),
            "Name": [f'"Person{n}, Mr. Owen {n}"' for n in _N],
            "Sex": _words("male", "female"),
            "Age": _gaps(_whole(1, 70), ""),
            "Ticket": [f"A/5 {21171 + 7 * n}" for n in _N],
            "Fare": _numbers(7, 80, 4),
            "Cabin": [f"C{n}" if n % 5 == 0 else "" for n in _N],
            "Embarked": _gaps(_words("S", "C", "Q"), "", 60),
        },
        'target = "Survived"\nid_columns = ["PassengerId"]\n' + _binary("1"),
        line='drop = ["Name", "Ticket"',
    ),
    "Ames housing": File(
        {
            "Order": [str(n + 1) for n in _N],
            "PID": [f"0{526301100 + 17 * n}" for n in _N],
            "MS SubClass": [f"0{n % 3 + 2}0" for n in _N],
            "Lot Frontage": _gaps(_whole(40, 140), ""),
            "Alley": _gaps(_words("Grvl", "NA", "Pave"), "NA", 2),
            "Mas Vnr Type": _words("BrkFace", "None", "Stone"),
            "SalePrice": _whole(100_000, 300_000),
        },
        'target = "SalePrice"\nid_columns = ["PID"]\n' + REGRESSION,
    ),
    "Adult with a header": File(
        {
            "age": _whole(17, 80),
            "workclass": _gaps(_words("Private", "State-gov"), "?"),
            "fnlwgt": _whole(10_000, 900_000),
            "native-country": _gaps(_words("United-States", "Cuba"), "?", 20),
            "income": _words("<=50K", ">50K"),
        },
        'target = "income"\n' + _binary(">50K"),
    ),
    "diamonds": File(
        {
            "": [str(n + 1) for n in _N],
            "carat": _numbers(0.2, 2),
            "cut": _words("Ideal", "Very Good", "Fair"),
            "price": _whole(300, 18_000),
        },
        'target = "price"\n' + REGRESSION,
        quoted=True,
    ),
    "telco churn": File(
        {
            "customerID": [f"{7590 + n}-VHVEG" for n in _N],
            "SeniorCitizen": _whole(0, 2),
            "tenure": _whole(0, 72),
            "InternetService": _words("DSL", "Fiber optic", "No"),
            "TotalCharges": _gaps(_numbers(20, 8000), " ", 40),
            "Churn": _words("Yes", "No"),
        },
        'target = "Churn"\nid_columns = ["customerID"]\n' + _binary("Yes"),
    ),
    "bike sharing": File(
        {
            "instant": [str(n + 1) for n in _N],
            "dteday": _hours("%d-%m-%Y"),
            "hr": _whole(0, 24),
            "temp": _numbers(0, 1),
            "cnt": _whole(1, 900),
        },
        'target = "cnt"\ndrop = ["instant"]\n' + REGRESSION + BY_TIME.format("dteday"),
    ),
    "bank marketing": File(
        {
            "age": _whole(18, 90),
            "job": _words("admin.", "blue-collar", "unknown"),
            "month": _words("may", "jun", "nov"),
            "pdays": _words("999", "3", "6"),
            "y": _words("yes", "no"),
        },
        'target = "y"\n' + _binary("yes"),
        separator=";",
        quoted=True,
        line='separator = ";"',
    ),
    "wine quality": File(
        {
            "fixed acidity": _numbers(4, 15, 1),
            "density": _numbers(0.99, 1.01, 5),
            "quality": _whole(3, 9),
        },
        'separator = ";"\ntarget = "quality"\n' + REGRESSION,
        separator=";",
    ),
    "Adult as UCI has it": File(
        {
            "age": _whole(17, 80),
            "workclass": _gaps(_words("Private", "State-gov"), "?"),
            "hours": _whole(10, 80),
            "income": _words("<=50K", ">50K"),
        },
        'header = false\ntarget = "column_4"\n' + _binary(">50K"),
        separator=", ",
        header=False,
    ),
    "mammography": File(
        {
            "area": _numbers(-1, 30, 8),
            "grey": _numbers(-1, 5, 8),
            "class": _words("'-1'", "'1'"),
        },
        'header = false\ntarget = "column_3"\n' + _binary("1"),
        header=False,
        line='quote = "\'"',
    ),
    "taxi trips": File(
        {
            "tpep_pickup_datetime": _hours("%Y-%m-%d %H:%M:%S"),
            "tpep_dropoff_datetime": _hours("%Y-%m-%d %H:%M:%S"),
            "passenger_count": _gaps(_whole(1, 6), "", 30),
            "store_and_fwd_flag": _gaps(_words("N", "Y"), "", 30),
            "PULocationID": _whole(1, 265),
            "fare_amount": _numbers(3, 60),
        },
        'target = "fare_amount"\n' + REGRESSION,
    ),
}

Run = Callable[[str], Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Ingest data.csv by such settings."""

    def run(settings: str) -> Result:
        file = tmp_path / "pipeline.toml"
        file.write_text(f'model = "m"\n[data]\nsource = "{tmp_path}/data.csv"\n{settings}')
        arguments = ["--local", str(tmp_path / "work"), "--settings", str(file)]
        return CliRunner().invoke(ingest.main, arguments, catch_exceptions=False)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_at_once_or_by_what_the_first_message_says(
    name: str, run: Run, tmp_path: Path
) -> None:
    file = FILES[name]
    (tmp_path / "data.csv").write_text(file.text)
    first = run(file.settings)
    if file.line is None:
        assert first.exit_code == 0, first.output
        return
    assert first.exit_code == 2, first.output
    (said,) = [found for found in first.output.splitlines() if file.line in found]
    written = said[said.index(file.line) :].partition(" under [data]")[0]
    settings = f"{written}\n{file.settings}"
    second = run(settings)
    assert second.exit_code == 0, second.output


def test_at_least_ten_need_no_second_run() -> None:
    assert sum(file.line is None for file in FILES.values()) >= 10
