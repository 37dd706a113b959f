"""The regions that a signature may be scoped to."""

from functools import cache

from scripts.localcloud.access.errors import AwsError, Fault, Refusal
from scripts.localcloud.access.signatures import Signature


@cache
def regions() -> frozenset[str]:
    """The regions of AWS's commercial partition, from the installed botocore."""
    from botocore.loaders import Loader

    loader = Loader(
        extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False
    )
    partitions = loader.load_data("partitions")["partitions"]
    found = next(one["regions"] for one in partitions if one["id"] == "aws")
    return frozenset(found) - {"aws-global"}


def check_scope(signature: Signature, home: str) -> None:
    """Refuse a signature for a region that does not exist: policies would believe it.

    Raises AwsError or Refusal, as the service does; `home` is the region S3 expects instead.
    """
    if signature.region in regions():
        return
    if signature.service == "s3":
        raise AwsError(
            "AuthorizationHeaderMalformed",
            f"The authorization header is malformed; the region '{signature.region}' is wrong; "
            f"expecting '{home}'",
        )
    raise Refusal(Fault.SIGNATURE, "Credential should be scoped to a valid region.")
