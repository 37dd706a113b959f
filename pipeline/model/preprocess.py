"""Columns as most models need them: numbers without gaps, categories as numbers."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

MAX_CATEGORIES = 200
"""Encoders lump the rarest categories together beyond this; histogram boosting has 255 bins."""


def imputed(numbers: list[str], categories: list[str], *, scaled: bool) -> "ColumnTransformer":
    """Impute numbers (scaled if asked) and one-hot encode categories, missing ones included."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    number = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    category = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="(missing)"),
        OneHotEncoder(handle_unknown="ignore", max_categories=MAX_CATEGORIES, sparse_output=False),
    )
    return ColumnTransformer(
        [
            ("number", make_pipeline(number, StandardScaler()) if scaled else number, numbers),
            ("category", category, categories),
        ],
        verbose_feature_names_out=False,
    )
