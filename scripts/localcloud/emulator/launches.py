"""Instances are as they were asked for, and stay so: moto passes over most of a launch template,
over the call's protection, and over what a change of the metadata options does not name.

Whoever is judged by a template that demands tokens would else get an instance that does not.
"""

from __future__ import annotations

import base64
import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

from moto.ec2.models.iam_instance_profile import IamInstanceProfileAssociationBackend
from moto.ec2.models.instances import InstanceBackend, MetadataOptions
from moto.ec2.responses import instances
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.utils import parse_user_data

# Moto's parameter of a change -> where the instance keeps it.
_OPTIONS = {
    "hop_limit": "http_put_response_hop_limit",
    "http_endpoint": "http_endpoint",
    "http_protocol": "http_protocol_ipv6",
    "http_tokens": "http_tokens",
    "metadata_tags": "instance_metadata_tags",
}
_PROTECTIONS = {
    "DisableApiStop": "disable_api_stop",
    "DisableApiTermination": "disable_api_termination",
}


@contextmanager
def as_asked() -> Iterator[None]:
    """Let instances be so while the context lasts."""
    with ExitStack() as stack:
        for owner, method, change in (
            (InstanceResponse, "run_instances", _launching),
            (InstanceBackend, "modify_instance_metadata_options", _keeping),
            (
                IamInstanceProfileAssociationBackend,
                "replace_iam_instance_profile_association",
                _showing,
            ),
        ):
            stack.enter_context(patch.object(owner, method, change(getattr(owner, method))))
        stack.enter_context(patch.object(instances, "parse_user_data", _user_data))
        yield


def _launching(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def run(self: Any) -> Any:
        answer = original(self)
        template = self._get_param("LaunchTemplate")
        ec2 = self.ec2_backend
        data = dict(ec2._get_template_from_args(template).data) if template else {}
        for name in ("IamInstanceProfile", "MetadataOptions", *_PROTECTIONS):
            if (own := self._get_param(name)) is not None:
                data[name] = own
        for instance in answer.result.instances:
            apply(ec2, instance, data)
        return answer

    return run


def apply(ec2: Any, instance: Any, data: dict[str, Any]) -> None:
    """Give an instance the profile, metadata options and protection of its launch."""
    profile = data.get("IamInstanceProfile") or {}
    if profile and instance.id not in ec2.iam_instance_profile_associations:
        ec2.associate_iam_instance_profile(
            instance.id,
            iam_instance_profile_name=profile.get("Name"),
            iam_instance_profile_arn=profile.get("Arn"),
        )
    if "MetadataOptions" in data:
        instance.metadata_options = MetadataOptions(data["MetadataOptions"])
    for name, attribute in _PROTECTIONS.items():
        if name in data:
            setattr(instance, attribute, data[name] in {True, "true", "True"})


def _keeping(original: Callable[..., Any]) -> Callable[..., Any]:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceMetadataOptions.html"""

    signature = inspect.signature(original)

    @wraps(original)
    def modify(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        before = given["self"].get_instance(given["instance_id"]).metadata_options
        changed = original(*args, **kwargs)
        for name, attribute in _OPTIONS.items():
            if given.get(name) is None:
                setattr(changed, attribute, getattr(before, attribute))
        return changed

    return modify


def _showing(original: Callable[..., Any]) -> Callable[..., Any]:
    """Moto's instance goes on to show the profile that was replaced."""

    @wraps(original)
    def replace(self: Any, *args: Any, **kwargs: Any) -> Any:
        association = original(self, *args, **kwargs)
        shown = {"Arn": association.iam_instance_profile.arn, "Id": association.association_id}
        association.instance.iam_instance_profile = shown
        return association

    return replace


def _user_data(value: Any) -> Any:
    """A change of user data has bytes in AWS's model, which moto takes for base64."""
    return parse_user_data(base64.b64encode(value) if isinstance(value, bytes) else value)
