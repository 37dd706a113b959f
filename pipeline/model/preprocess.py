"""Columns as most models need them: numbers without gaps, categories and texts as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pipeline.data.contract import SchemaContract
from pipeline.errors import InputError
from pipeline.model import own

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

MAX_CATEGORIES = 200
"""Encoders lump the rarest categories together beyond this; histogram boosting has 255 bins."""


@dataclass(frozen=True)
class Inputs:
    """What a model is given, by kind, and how texts become numbers."""

    numbers: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    words: Literal["tfidf", "hashing"] = "tfidf"
    size: int = 300
    own: str | None = None

    @property
    def all(self) -> list[str]:
        """Every input, for a transformer of one's own."""
        return [*self.numbers, *self.categories, *self.texts]


def inputs_of(
    contract: SchemaContract, words: Literal["tfidf", "hashing"], size: int, own: str | None
) -> Inputs:
    """The inputs of a contract, by kind."""
    kinds: dict[str, list[str]] = {"number": [], "category": [], "text": []}
    for name, kind in contract.inputs.items():
        kinds[kind].append(name)
    return Inputs(kinds["number"], kinds["category"], kinds["text"], words, size, own)


def imputed(inputs: Inputs, *, scaled: bool) -> "ColumnTransformer":
    """Impute numbers (scaled if asked) and one-hot encode categories, missing ones included."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    number: Any = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    # Where MLflow itself serves the model, a missing text comes as None, here it is NaN.
    category = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="(missing)"),
        SimpleImputer(missing_values=None, strategy="constant", fill_value="(missing)"),
        OneHotEncoder(handle_unknown="ignore", max_categories=MAX_CATEGORIES, sparse_output=False),
    )
    return together(
        [
            (
                "number",
                make_pipeline(number, StandardScaler()) if scaled else number,
                inputs.numbers,
            ),
            ("category", category, inputs.categories),
        ],
        inputs,
    )


def coded(inputs: Inputs) -> "ColumnTransformer":
    """Numbers as they are, missing ones too, categories as codes: for trees that take both."""
    from sklearn.preprocessing import OrdinalEncoder

    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=float("nan"),
        max_categories=MAX_CATEGORIES,
    )
    return together(
        [("category", encoder, inputs.categories), ("number", "passthrough", inputs.numbers)],
        inputs,
    )


def together(parts: Sequence[tuple[str, Any, list[str]]], inputs: Inputs) -> "ColumnTransformer":
    """The parts side by side, and the words of each text after them, dense."""
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    def words() -> Any:
        if inputs.words == "hashing":
            return HashingVectorizer(n_features=inputs.size, alternate_sign=False)
        return TfidfVectorizer(max_features=inputs.size, sublinear_tf=True, ngram_range=(1, 2))

    more: list[tuple[str, Any, Any]] = [(f"text {name}", words(), name) for name in inputs.texts]
    if inputs.own is not None:
        # Models that take no missing values take none from it either.
        gapless = SimpleImputer(strategy="median", keep_empty_features=True)
        more.append(("own", make_pipeline(_own_transform(inputs.own), gapless), inputs.all))
    return ColumnTransformer(
        [*(part for part in parts if part[2]), *more],
        verbose_feature_names_out=bool(more),
        sparse_threshold=0.0,
    )


def _own_transform(path: str) -> Any:
    """A transformer of one's own, made without arguments."""
    kind = own.load(path)
    if not (isinstance(kind, type) and hasattr(kind, "transform")):
        raise InputError(f"{path} is no transformer: derive it from sklearn's TransformerMixin")
    return kind()
