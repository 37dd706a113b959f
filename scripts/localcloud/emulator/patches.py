"""What moto does otherwise than AWS and cannot be mended from outside; each with its reason."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs

from moto.core.responses import BaseResponse
from moto.ec2.models.launch_templates import LaunchTemplateBackend
from moto.s3.models import FakeBucket

# The WSGI variable with the operation that was authorised.
OPERATION = "keyless.operation"


class OperationMismatch(Exception):
    """Moto read another operation from a request than the one that was authorised."""


@contextmanager
def applied() -> Iterator[None]:
    """Change moto while the context lasts."""
    with ExitStack() as stack:
        for change in _CHANGES:
            change(stack)
        yield


def _leave_bucket_policies_to_the_gateway(stack: ExitStack) -> None:
    """Moto applies a bucket policy's Deny without its condition."""
    stack.enter_context(patch.object(FakeBucket, "get_permission", lambda *_: None))


def _read_each_parameter_from_one_place(stack: ExitStack) -> None:
    """Moto looks for a parameter in the query string, then in anything that resembles one.

    A JSON text with `&Name=other&` inside, or a header called Name, would override the parameter
    that was authorised.
    """
    original = BaseResponse.setup_class

    def setup_class(self: BaseResponse, request: Any, *args: Any, **kwargs: Any) -> None:
        original(self, request, *args, **kwargs)
        if not request.form and not request.files and OPERATION in request.environ:
            query = request.environ.get("QUERY_STRING", "")
            self.querystring = self.data = parse_qs(query, keep_blank_values=True)

    stack.enter_context(patch.object(BaseResponse, "setup_class", setup_class))


def _do_only_what_was_authorised(stack: ExitStack) -> None:
    """Moto finds the operation by its own rules, and they are laxer than AWS's."""
    original = BaseResponse.call_action

    def call_action(self: BaseResponse) -> Any:
        expected = self.normalized_request.environ.get(OPERATION)
        found = self._get_action()
        if expected is not None and found and found != expected:
            raise OperationMismatch(f"authorised {expected}, but the request also reads as {found}")
        return original(self)

    stack.enter_context(patch.object(BaseResponse, "call_action", call_action))


def _keep_a_templates_own_tags_out_of_its_data(stack: ExitStack) -> None:
    """Moto adds the tags of the launch template itself to those that it gives to instances."""
    original = LaunchTemplateBackend.create_launch_template

    def create_launch_template(
        self: Any, name: str, description: str, template_data: dict[str, Any], tag_spec: Any
    ) -> Any:
        own = template_data.get("TagSpecifications")
        if own is not None:
            kept = [entry for entry in own if entry.get("ResourceType") != "launch-template"]
            template_data = {**template_data, "TagSpecifications": kept}
            if not kept:
                del template_data["TagSpecifications"]
        return original(self, name, description, template_data, tag_spec)

    change = patch.object(LaunchTemplateBackend, "create_launch_template", create_launch_template)
    stack.enter_context(change)


_CHANGES: tuple[Callable[[ExitStack], None], ...] = (
    _leave_bucket_policies_to_the_gateway,
    _read_each_parameter_from_one_place,
    _do_only_what_was_authorised,
    _keep_a_templates_own_tags_out_of_its_data,
)
