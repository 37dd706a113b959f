"""How a table's texts are written: separator, marks of numbers, encoding, words for missing."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

# What pandas takes for missing, and the question mark of the UCI repository.
# https://pandas.pydata.org/docs/reference/api/pandas.read_csv.html, `na_values`
MISSING = (
    "",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "-NaN",
    "-nan",
    "1.#IND",
    "1.#QNAN",
    "<NA>",
    "?",
    "N/A",
    "NA",
    "NULL",
    "NaN",
    "NaT",
    "None",
    "n/a",
    "nan",
    "null",
)
WHITESPACE = "whitespace"


class Format(BaseModel):
    """How the files of a model are written. Only `missing` concerns other files than CSV.

    `separator` may have several characters, or be "whitespace" for runs of blanks and tabs.
    `missing` adds words to MISSING. `skip_lines` counts lines before the header. `names` replaces
    the header, or stands for it where `header` is false.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    separator: str | None = Field(default=None, min_length=1)
    decimal: str = Field(default=".", min_length=1, max_length=1)
    thousands: str | None = Field(default=None, min_length=1, max_length=1)
    quote: str = Field(default='"', max_length=1)
    escape: str | None = Field(default=None, min_length=1, max_length=1)
    encoding: str | None = None
    header: bool = True
    names: list[str] = []
    skip_lines: int = Field(default=0, ge=0)
    missing: list[str] = []

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str | None) -> str | None:
        import codecs

        try:
            if encoding is not None:
                codecs.lookup(encoding)
        except LookupError:
            raise ValueError(f"{encoding!r} is no encoding that Python knows") from None
        return encoding

    @property
    def words(self) -> tuple[str, ...]:
        """Every text that means a missing value."""
        return (*MISSING, *self.missing)


def quoted(name: str) -> str:
    """A name as TOML writes it: bare where that is allowed, else in quotes."""
    import json
    import re

    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def line(key: str, value: object) -> str:
    """One line of settings, such as `separator = ";"`."""
    import json

    return f"{quoted(key)} = {json.dumps(value, ensure_ascii=False)}"
