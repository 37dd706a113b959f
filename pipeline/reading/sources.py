"""Data sources: make whatever a source names available as local files."""

import glob
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.reading.files import DataFile, find
from pipeline.settings import host_of, without_secrets
from pipeline.step import Workspace
from pipeline.storage import KeyAbsentError

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.storage import Stored

_MAX_DOWNLOAD_BYTES = 2 << 30
_KAGGLE_API = "https://www.kaggle.com/api/v1/datasets/download"


def fetch(workspace: Workspace, source: str, folder: Path) -> list[DataFile]:
    """The files that a source names; what is not on this machine is copied into `folder`.

    Raises InputError for a source that is not there or holds no rows.
    """
    scheme, separator, rest = source.partition(":")
    loader = _LOADERS.get(scheme) if separator else None
    name = without_secrets(source)
    if loader is not None:
        return find(loader(workspace, rest, folder), PurePosixPath(name).name or name)
    if separator and rest.startswith("//"):
        raise InputError(f"{name}: write a source as a path, https://, s3://, package: or kaggle:")
    return find(_resolved(workspace, source), name)


def fetch_or_stored(
    workspace: Workspace, named: str, folder: Path
) -> "tuple[list[DataFile], Stored | None]":
    """The files that a source names, or an object of the store by its key or address.

    A key begins with one of the store's prefixes, such as data/inputs/. The second part describes
    the object; it is None for a source. Raises InputError for what is in neither place.
    """
    key = workspace.store.key_of(named)
    if key is None and (_is_elsewhere(named) or _is_here(workspace, named)):
        return fetch(workspace, named, folder), None
    if key is None and not named.startswith(tuple(workspace.prefixes.model_dump().values())):
        # No key that a step stores or may read: S3 would only deny it.
        raise InputError(f"there is no file {named} here or beside the settings")
    key = key or named
    target = folder / PurePosixPath(key).name
    try:
        stored = workspace.store.fetch(key, target)
    except Exception as failure:
        if (why := _absent(workspace, key, failure)) is None:
            raise
        here = "" if named != key else f"there is no file {named} here or beside the settings, and "
        raise InputError(f"{here}{why}") from failure
    return find(target, key), stored


def _absent(workspace: Workspace, key: str, failure: Exception) -> str | None:
    """Why an object was not read, if the name may be wrong; None for another failure.

    S3 denies what is not there to who may not list the bucket, and no predicting role may.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    if isinstance(failure, KeyAbsentError):
        return str(failure)
    code = getattr(failure, "response", {}).get("Error", {}).get("Code")
    if code not in ("AccessDenied", "403"):
        return None
    return f"{workspace.store.uri(key)} does not exist, or this role may not read it: {failure}"


def _is_elsewhere(source: str) -> bool:
    """Whether a source names a place by its scheme, such as https: or package:."""
    return source.partition(":")[0] in _LOADERS and ":" in source


def _is_here(workspace: Workspace, source: str) -> bool:
    """Whether a source names files on this machine."""
    path = _resolved(workspace, source)
    return path.exists() or bool(glob.glob(str(path))) or any(up.is_file() for up in path.parents)  # noqa: PTH207


def _resolved(workspace: Workspace, source: str) -> Path:
    """A path from the current folder, or else from the settings file's."""
    path = Path(source).expanduser()
    beside = workspace.settings_file.parent / path
    here = path.exists() or glob.glob(str(path)) or any(up.is_file() for up in path.parents)  # noqa: PTH207
    return path if here else beside


def _from_url_of_file(workspace: Workspace, rest: str, _folder: Path) -> Path:
    return _resolved(workspace, urllib.parse.unquote(rest.removeprefix("//")))


def _from_package(_workspace: Workspace, rest: str, _folder: Path) -> Path:
    """`package:NAME/path/to/file.csv`, a data file that an installed package ships."""
    package, _, path = rest.partition("/")
    try:
        found = Path(str(resources.files(package).joinpath(path)))
    except (ModuleNotFoundError, ValueError, TypeError):
        found = None
    if found is None or not found.exists():
        raise InputError(f"no installed package {package!r} has a file {path!r}; install it first")
    return found


def _from_sklearn(workspace: Workspace, name: str, folder: Path) -> Path:
    """A data set that ships with scikit-learn, its class names spelled out."""
    from sklearn import datasets

    loader: Callable[..., object] | None = getattr(datasets, f"load_{name}", None)
    if loader is None or name not in ("breast_cancer", "diabetes", "iris", "wine"):
        raise InputError("sklearn: has breast_cancer, diabetes, iris and wine")
    bunch = loader(as_frame=True)
    frame: pd.DataFrame = bunch.frame  # type: ignore[attr-defined]
    names = getattr(bunch, "target_names", None)
    target = frame.pop("target")
    frame[workspace.settings.data.target] = (
        target if names is None else [str(names[number]) for number in target]
    )
    path = folder / f"{name}.csv"
    frame.to_csv(path, index=False)
    return path


def _from_s3(workspace: Workspace, rest: str, folder: Path) -> Path:
    from botocore.exceptions import ClientError

    bucket, _, key = rest.removeprefix("//").partition("/")
    if not key or key.endswith("/") or "*" in key:
        raise InputError(f"s3:{rest} names no single object: no step may list a bucket")
    if workspace.platform is None:
        import boto3

        client = boto3.client("s3")
    else:
        client = workspace.session.client("s3")
    path = folder / PurePosixPath(key).name
    try:
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket"):
            raise InputError(f"s3:{rest} does not exist") from None
        raise
    with path.open("wb") as target:
        for piece in body.iter_chunks(1 << 20):
            target.write(piece)
    return path


def _from_https(_workspace: Workspace, rest: str, folder: Path) -> Path:
    address = f"https:{rest}"
    parts = urllib.parse.urlsplit(address)
    user, host = parts.netloc.rpartition("@")[0], host_of(address)
    if host is None:
        raise InputError(
            f"{without_secrets(address)} has no port that is a number: if there is a password "
            "before it, write the marks in it escaped, such as %40 for @, %2F for / and %23 for #"
        )
    # Blanks and letters beyond ASCII are escaped; what is escaped already stays.
    path = urllib.parse.quote(parts.path, safe="/%:@!$&'()*+,;=~")
    request = urllib.request.Request(parts._replace(netloc=host, path=path).geturl())
    if user:
        _authorize(request, urllib.parse.unquote(user))
    name = PurePosixPath(urllib.parse.unquote(parts.path)).name or "data"
    return _download(request, folder / name)


def _authorize(request: urllib.request.Request, pair: str) -> None:
    """Give `user:password` to this host, and to none that it sends on to."""
    import base64

    token = base64.b64encode(pair.encode()).decode()
    request.add_unredirected_header("Authorization", f"Basic {token}")


def _from_kaggle(workspace: Workspace, rest: str, folder: Path) -> Path:
    """`kaggle:OWNER/DATASET/FILE`, with the key that lies in Secrets Manager and nowhere else."""
    if rest.count("/") != 2:
        raise InputError("write a Kaggle source as kaggle:OWNER/DATASET/FILE.csv")
    if workspace.platform is None:
        raise InputError(
            "a kaggle: source needs a platform: its key is read from Secrets Manager by the "
            "ingest role; without AWS download the file and name its path"
        )
    owner, dataset, file = rest.split("/")
    secret = workspace.session.client("secretsmanager").get_secret_value(
        SecretId=workspace.platform.secrets.third_party_arn
    )["SecretString"]
    try:
        key = json.loads(secret)
        pair = f"{key['username']}:{key['key']}"
    except (ValueError, KeyError, TypeError):
        raise InputError(
            'the third-party secret is no Kaggle key: put {"username": …, "key": …} into it'
        ) from None
    quoted = urllib.parse.quote(file)
    request = urllib.request.Request(f"{_KAGGLE_API}/{owner}/{dataset}/{quoted}")
    # Kaggle sends on to a storage of another host, which must not get the key.
    _authorize(request, pair)
    return _download(request, folder / file)


def _download(request: urllib.request.Request, path: Path) -> Path:
    shown = without_secrets(request.full_url)
    try:
        # Its own: urllib keeps one for the whole process, with the authorities of its first use.
        context = ssl.create_default_context()
        with (
            urllib.request.urlopen(request, timeout=60, context=context) as answer,
            path.open("wb") as target,
        ):
            left = _MAX_DOWNLOAD_BYTES
            while piece := answer.read(1 << 20):
                target.write(piece)
                left -= len(piece)
                if left < 0:
                    raise InputError(f"{shown} is larger than {_MAX_DOWNLOAD_BYTES >> 30} GiB")
    except urllib.error.HTTPError as error:
        error.close()
        raise InputError(f"{shown} cannot be downloaded: {error}") from None
    except (urllib.error.URLError, TimeoutError, ValueError) as error:
        raise InputError(f"{shown} cannot be downloaded: {error}") from None
    return path


_LOADERS: dict[str, Callable[[Workspace, str, Path], Path]] = {
    "sklearn": _from_sklearn,
    "package": _from_package,
    "s3": _from_s3,
    "https": _from_https,
    "kaggle": _from_kaggle,
    "file": _from_url_of_file,
}
