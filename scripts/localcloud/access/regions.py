"""The regions that a signature may be scoped to."""

from functools import cache

from scripts.iam.requests import Reading
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


# One for the whole partition: https://docs.aws.amazon.com/general/latest/gr/rande.html#global-endpoints
_GLOBAL = {"budgets": "us-east-1", "iam": "us-east-1"}
# These find a bucket from any region.
_ANYWHERE = frozenset({"CreateBucket", "GetBucketLocation", "HeadBucket", "ListBuckets"})


def requested_region(service: str, signed: str) -> str:
    """aws:RequestedRegion: of a global service it is us-east-1, whatever was signed for."""
    return _GLOBAL.get(service, signed)


def check_bucket_region(reading: Reading, region: str | None) -> None:
    """Refuse an S3 request that is signed for another region than its bucket's."""
    if region is None or reading.operation in _ANYWHERE or reading.request.region == region:
        return
    raise AwsError(
        "AuthorizationHeaderMalformed",
        f"The authorization header is malformed; the region '{reading.request.region}' is wrong; "
        f"expecting '{region}'",
    )


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
