"""Import all slow modules of a step ahead of time, in a process that then waits for work.

Importing MLflow, scikit-learn and matplotlib takes longer than most steps. `keyless up` does it
while Terraform waits; nothing else needs this module.
"""

import importlib

MODULES = (
    "boto3",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "mlflow.data",
    "mlflow.pyfunc",
    "mlflow.sklearn",
    "optuna",
    "pyarrow.parquet",
    "scipy.stats",
    "skops.io",
    "sklearn.calibration",
    "sklearn.compose",
    "sklearn.datasets",
    "sklearn.ensemble",
    "sklearn.inspection",
    "sklearn.linear_model",
    "sklearn.pipeline",
)

for name in MODULES:
    importlib.import_module(name)

# Saving a model makes MLflow read the metadata of every installed package, once for a process.
importlib.import_module("mlflow.utils.requirements_utils").warn_dependency_requirement_mismatches(
    ["mlflow"]
)
