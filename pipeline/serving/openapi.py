"""The server's OpenAPI description, with the columns of the model that answers now."""

from collections.abc import Mapping
from typing import Any

from pipeline.serving.worker.rows import PROTOCOL

_ERROR = {
    "type": "object",
    "required": ["error", "details"],
    "properties": {
        "error": {"type": "string"},
        "details": {"type": "array", "items": {"type": "object"}},
    },
}
_FAULTS = {
    "400": "The body is no JSON, no CSV or no UTF-8.",
    "408": "The body did not come in time.",
    "413": "The body, or the number of its rows or values, is over the limit.",
    "415": "The media type is none that is read here.",
    "422": "The body does not fit the model's columns; the details name row, column and rule.",
    "503": "No model is loaded, too many requests wait, or the model failed.",
}


def complete(schema: dict[str, Any], contract: Mapping[str, Any] | None) -> dict[str, Any]:
    """Add bodies and answers to what FastAPI derived from the routes."""
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    schemas["Error"] = _ERROR
    schemas["Row"] = row(contract) if contract else {"type": "object"}
    paths = schema["paths"]
    _operation(paths["/predict"]["post"], {"application/json": _ref("Row")}, _prediction(contract))
    _operation(
        paths["/invocations"]["post"],
        {"application/json": _invocation(contract), "text/csv": {"type": "string"}},
        _predictions(contract),
    )
    return schema


def row(contract: Mapping[str, Any]) -> dict[str, Any]:
    """One row as JSON Schema: every feature, within the contract's bounds, or null."""
    features = contract["features"]
    return {
        "type": "object",
        "required": list(features),
        "additionalProperties": False,
        "properties": {name: _cell(spec) for name, spec in features.items()},
    }


def _cell(column: Mapping[str, Any]) -> dict[str, Any]:
    """What the contract reads as a value of a column; null is a missing one."""
    if column["kind"] != "number":
        # Numbers and truth values count as the texts that they are written as.
        known = {"examples": column["categories"][:5]} if column.get("categories") else {}
        return {"type": ["string", "number", "boolean", "null"], **known}
    plain = column["marks"] == {"decimal": ".", "thousands": None, "remove": []}
    found: dict[str, Any] = {
        "type": ["number", "null"],
        "minimum": column["minimum"],
        "maximum": column["maximum"],
    }
    if column["flag"]:
        found["type"] = ["number", "boolean", "null"]
    return found if plain else {"type": ["number", "string", "null"]}


def _invocation(contract: Mapping[str, Any] | None) -> dict[str, Any]:
    rows = {"type": "array", "minItems": 1, "items": _ref("Row")}
    features = contract["features"] if contract else {}
    row = {
        "type": "array",
        "prefixItems": [_cell(spec) for spec in features.values()],
        "items": False,
        "minItems": len(features),
    }
    split = {
        "type": "object",
        "required": ["columns", "data"],
        "additionalProperties": False,
        "properties": {
            "columns": {"type": "array", "items": {"type": "string"}, "const": list(features)},
            "index": {"type": "array"},
            "data": {"type": "array", "minItems": 1, "items": row},
        },
    }
    forms = {
        "dataframe_split": split,
        "dataframe_records": rows,
        "instances": rows,
        "inputs": rows,
    }
    assert set(forms) == set(PROTOCOL)
    return {
        "oneOf": [
            {
                "type": "object",
                "required": [name],
                "additionalProperties": False,
                "properties": {name: form},
            }
            for name, form in forms.items()
        ]
    }


def _label(contract: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"type": "string" if contract and _has_classes(contract) else "number"}


def _has_classes(contract: Mapping[str, Any]) -> bool:
    target: Mapping[str, Any] = contract["others"].get(contract["target"], {})
    return target.get("kind") == "category"


def _said() -> dict[str, Any]:
    return {"prediction_id": {"type": "string"}, "model_version": {"type": "string"}}


def _prediction(contract: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["prediction", "prediction_id", "model_version"],
        "properties": {
            "prediction": _label(contract),
            "probabilities": {"type": "object", "additionalProperties": {"type": "number"}},
            **_said(),
        },
    }


def _predictions(contract: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["predictions", "prediction_id", "model_version"],
        "properties": {
            "predictions": {"type": "array", "items": _label(contract)},
            **_said(),
        },
    }


def _operation(
    operation: dict[str, Any], bodies: Mapping[str, Any], answer: Mapping[str, Any]
) -> None:
    operation["requestBody"] = {
        "required": True,
        "content": {kind: {"schema": schema} for kind, schema in bodies.items()},
    }
    operation["responses"] = {
        "200": {"description": "The answer.", "content": _json(answer)},
        **faults(),
    }


def faults() -> dict[str, Any]:
    """What may go wrong, by status."""
    return {
        status: {"description": text, "content": _json(_ref("Error"))}
        for status, text in _FAULTS.items()
    }


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
