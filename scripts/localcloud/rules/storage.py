"""S3: the owner that a client expects, and what this cloud does not keep."""

from __future__ import annotations

from scripts.iam.requests import Reading
from scripts.localcloud.access.errors import AwsError
from scripts.localcloud.access.policies import Backends


def expected_owner(reading: Reading, backends: Backends) -> None:
    """A client may say whose bucket it means."""
    own = backends("iam").account_id
    for name in ("ExpectedBucketOwner", "ExpectedSourceBucketOwner"):
        if reading.parameters.get(name, own) != own:
            raise AwsError("AccessDenied", "Access Denied", 403)
