"""What AWS would answer where moto fails: to a name that nothing has, and to a wrong page token.

Moto looks such a name up without asking first, so Python's own error leaves it. Which code and
status a service answers is read from AWS's model of the operation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.parsers.expat import ExpatError

from scripts.iam.requests.mapping import SERVICES
from scripts.iam.requests.model import Reading
from scripts.iam.requests.wire.shapes import is_modelled, service_model
from scripts.localcloud.access.errors import AwsError

_PAGE = frozenset({"marker", "nexttoken", "startingtoken", "pagetoken"})
_MISSING = ("NotFound", "NoSuch", "DoesNotExist")
_TAKEN_AWAY = "x not in list"  # by list.remove
_QUOTED = re.compile(r"'([^']*)'(?: is not in list)?\Z")
# Services whose models name no error for it.
# https://docs.aws.amazon.com/autoscaling/ec2/APIReference/CommonErrors.html
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
_ABSENT = {
    ("autoscaling", ""): ("ValidationError", "AutoScalingGroup name not found - {}"),
    ("ec2", "ami-"): ("InvalidAMIID.NotFound", "The image id '[{}]' does not exist"),
    ("ec2", "nat-"): ("NatGatewayNotFound", "The Nat Gateway {} was not found"),
}
_WRONG_PAGE = {
    "ec2": ("InvalidNextToken", "The token '{}' is invalid."),
    "iam": ("ValidationError", "Invalid Marker."),
}


def answered(reading: Reading, error: Exception) -> AwsError | None:
    """AWS's answer to what moto failed on; None where that does not follow from the failure."""
    if isinstance(error, ExpatError) and reading.request.service == "s3":
        return AwsError(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published "
            "schema",
        )
    given = list(_texts(reading.parameters))
    if isinstance(error, KeyError | ValueError):
        found = _named(error)
        if any(value == found for name, value in given if name.lower() in _PAGE):
            return _wrong_page(reading, found)
        if isinstance(error, KeyError) and any(_is_named(value, found) for _, value in given):
            return _absent(reading, found)
    if _TAKEN_AWAY in str(error):
        return _modelled(reading, _MISSING, "What is to be taken away was not found.")
    if _looked_in_nothing(error):
        name = _first_name(reading, given)
        return None if name is None else _absent(reading, name)
    return None


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text among the parameters, with the name of the parameter that it belongs to."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _texts(one, str(key))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one, name)
    elif isinstance(value, str):
        yield name, value


def _named(error: Exception) -> str:
    if isinstance(error, KeyError):
        return str(error.args[0]) if error.args else ""
    found = _QUOTED.search(str(error))
    return found[1] if found else ""


def _is_named(value: str, found: str) -> bool:
    """Whether a parameter is this name, or an ARN that ends with it."""
    return bool(found) and (value == found or re.split(r"[/:]", value)[-1] == found)


def _looked_in_nothing(error: Exception) -> bool:
    """The first of no results, or an attribute of no result."""
    none = isinstance(error, AttributeError) and "'NoneType' object" in str(error)
    return none or isinstance(error, IndexError | StopIteration)


def _first_name(reading: Reading, given: list[tuple[str, str]]) -> str | None:
    """The one name or id of the call, where it has just one that its model requires."""
    shape = _operation(reading)
    required = set(shape.input_shape.required_members) if shape and shape.input_shape else set()
    names = [value for name, value in given if name in required and name.endswith(("Name", "Id"))]
    return names[0] if len(names) == 1 else None


def _absent(reading: Reading, name: str) -> AwsError | None:
    if name == reading.parameters.get("UploadId"):  # no error of S3's models names it
        return AwsError("NoSuchUpload", "The specified multipart upload does not exist.", 404)
    for (service, prefix), (code, message) in _ABSENT.items():
        if reading.request.service == service and name.startswith(prefix):
            return AwsError(code, message.format(name))
    return _modelled(reading, _MISSING, f"{name} was not found.")


def _wrong_page(reading: Reading, token: str) -> AwsError | None:
    modelled = _modelled(reading, ("NextToken", "Pagination", "Marker"), "The token is not valid.")
    if modelled is not None:
        return modelled
    code, message = _WRONG_PAGE.get(
        reading.request.service, ("ValidationException", "The token is not valid.")
    )
    return AwsError(code, message.format(token))


def _modelled(reading: Reading, words: tuple[str, ...], message: str) -> AwsError | None:
    """The operation's own error whose name has one of these words."""
    operation = _operation(reading)
    for shape in operation.error_shapes if operation is not None else ():
        if any(word in shape.name for word in words):
            error = shape.metadata.get("error", {})
            return AwsError(shape.error_code, message, int(error.get("httpStatusCode", 400)))
    return None


def _operation(reading: Reading) -> Any:
    service = reading.request.service
    model = SERVICES[service].model or service
    if not is_modelled(model, reading.operation):
        return None
    return service_model(model).operation_model(reading.operation)
