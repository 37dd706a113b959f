"""What moto does otherwise than AWS and cannot be fixed from outside; each with its reason."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from moto.core.request import Request
from moto.core.responses import BaseResponse
from moto.kms import responses as kms_responses
from moto.s3.exceptions import MethodNotAllowed, MissingVersion
from moto.s3.models import FakeBucket, FakeDeleteMarker
from moto.s3.responses import S3Response

# The WSGI variable with the operation that was authorised.
OPERATION = "keyless.operation"
# Whether the body is an object, or XML: nothing to find parameters in.
OPAQUE_BODY = "keyless.opaque_body"


class OperationMismatch(Exception):
    """Moto read another operation from a request than the one that was authorised."""


@contextmanager
def applied() -> Iterator[None]:
    """Change moto while the context lasts."""
    with ExitStack() as stack:
        for change in _CHANGES:
            change(stack)
        yield


def _leave_policies_to_the_gateway(stack: ExitStack) -> None:
    """Moto applies a bucket policy's Deny without its condition."""
    stack.enter_context(patch.object(FakeBucket, "get_permission", lambda *_: None))
    # Moto's own reading of a key's policy passes conditions over.
    stack.enter_context(patch.object(kms_responses, "validate_policy", lambda *_: None))


def _take_no_tags_for_tags(stack: ExitStack) -> None:
    """An empty set takes an object's tags away; moto fails.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html
    """
    original = S3Response._tagging_from_xml

    def read(self: S3Response) -> dict[str, str]:
        return original(self) if b"<Key>" in self.body else {}

    stack.enter_context(patch.object(S3Response, "_tagging_from_xml", read))


def _change_the_list_of_the_version(stack: ExitStack) -> None:
    """Moto changes the newest version's list of access, whichever version is named."""
    original = S3Response.put_object_acl

    def put(self: Any) -> Any:
        version_id = self._get_param("versionId")
        if not version_id:
            return original(self)
        name = self.parse_key_name()
        found = self.backend.get_object(
            self.bucket_name, name, version_id=version_id, return_delete_marker=True
        )
        if found is None:
            raise MissingVersion(key=name, version_id=version_id)
        if isinstance(found, FakeDeleteMarker):
            raise MethodNotAllowed(method="PUT", resource_type="DeleteMarker")
        found.set_acl(self._acl_from_headers(self.headers))
        return 200, {}, ""

    stack.enter_context(patch.object(S3Response, "put_object_acl", put))


def _take_no_object_for_a_form(stack: ExitStack) -> None:
    """An object may have any content type, that of a form too; moto would store its fields."""
    original: Any = Request.want_form_data_parsed

    def wanted(self: Any) -> bool:
        return not self.environ.get(OPAQUE_BODY) and bool(original.fget(self))

    stack.enter_context(patch.object(Request, "want_form_data_parsed", property(wanted)))


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


# What moto's S3 does with a request in which it knows no subresource: for `DELETE ?metrics` it
# would delete the bucket. Method of moto -> the operations that mean it.
S3_PLAIN_CALLS: dict[str, tuple[str, ...]] = {
    "_bucket_response_post": ("DeleteObjects",),
    "_get_location_constraint": ("CreateBucket",),
    "all_buckets": ("ListBuckets",),
    "copy_object": ("CopyObject",),
    "delete_bucket": ("DeleteBucket",),
    "delete_object": ("DeleteObject",),
    "get_object": ("GetObject",),
    "head_bucket": ("HeadBucket",),
    "head_object": ("HeadObject",),
    "list_objects": ("ListObjects",),
    "list_objects_v2": ("ListObjectsV2",),
    "put_object": ("PutObject",),
    "upload_part": ("UploadPart",),
    "upload_part_copy": ("UploadPartCopy",),
}


def _take_no_subresource_for_the_plain_call(stack: ExitStack) -> None:
    """A subresource that moto does not know is refused, not left out."""
    for name, operations in S3_PLAIN_CALLS.items():
        stack.enter_context(patch.object(S3Response, name, _guarded(name, operations)))


def _guarded(name: str, operations: tuple[str, ...]) -> Callable[..., Any]:
    original = getattr(S3Response, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        expected = self.normalized_request.environ.get(OPERATION)
        if expected is not None and expected not in operations:
            raise NotImplementedError(f"it would do {operations[0]} instead")
        return original(self, *args, **kwargs)

    return method


_CHANGES: tuple[Callable[[ExitStack], None], ...] = (
    _leave_policies_to_the_gateway,
    _take_no_tags_for_tags,
    _change_the_list_of_the_version,
    _take_no_object_for_a_form,
    _do_only_what_was_authorised,
    _take_no_subresource_for_the_plain_call,
)
