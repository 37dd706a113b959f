"""Where data may come from, and how its bytes become a frame."""

import codecs
import io
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.step import Workspace

if TYPE_CHECKING:
    import pandas as pd

_MAX_DOWNLOAD_BYTES = 2 << 30
_KAGGLE_API = "https://www.kaggle.com/api/v1/datasets/download"


@dataclass(frozen=True)
class Raw:
    """The data as it came, unchanged: bytes and the kind of file, `csv` or `parquet`."""

    data: bytes
    kind: str


def load_raw(workspace: Workspace, source: str) -> Raw:
    """Get the bytes that a source names. Raises InputError when there are none to be had."""
    scheme, _, rest = source.partition(":")
    loader = _LOADERS.get(scheme)
    raw = loader(workspace, rest) if loader else _from_file(_resolved(workspace, source))
    if not raw.data.strip():
        raise InputError(f"{source} is empty")
    return raw


def read_frame(raw: Raw, *, source: str, encoding: str | None = None) -> "pd.DataFrame":
    """Parse a CSV (any BOM; UTF-8 unless `encoding` says otherwise) or a Parquet file.

    Raises InputError for what is neither, has no rows or names a column twice.
    """
    import pandas as pd

    if raw.kind == "parquet":
        try:
            frame = pd.read_parquet(io.BytesIO(raw.data))
        except (OSError, ValueError) as error:
            raise InputError(f"{source} is not Parquet: {error}") from None
    else:
        text = decode(raw.data, source=source, encoding=encoding)
        _check_header(text, source)
        try:
            frame = pd.read_csv(io.StringIO(text))
        except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise InputError(f"{source} is not a CSV file: {error}") from None
    if frame.empty:
        raise InputError(f"{source} has a header but no rows")
    return frame


def decode(data: bytes, *, source: str, encoding: str | None = None) -> str:
    """Bytes as text. Raises InputError that names the setting for another encoding."""
    codec = encoding or encoding_of(data)
    try:
        return data.decode(codec)
    except LookupError:
        raise InputError(f'data.encoding = "{codec}" is no encoding that Python knows') from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{source} is not {codec} (byte 0x{data[error.start]:02x} at position {error.start}): "
            'write its encoding under [data], such as encoding = "cp1252"'
        ) from None


def encoding_of(data: bytes) -> str:
    """UTF-16 or UTF-8 by the byte order mark, which is dropped; UTF-8 without one."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig"


def _check_header(text: str, source: str) -> None:
    import csv

    header = next(csv.reader(io.StringIO(text)), [])
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(f"{source} names columns twice: {', '.join(twice)}; rename one of each")
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise InputError(f"{source} seems to be separated by another mark than a comma: convert it")


def _kind(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in (".parquet", ".pq"):
        return "parquet"
    if suffix in (".csv", ".txt"):
        return "csv"
    raise InputError(f"{name}: write a source that ends in .csv or .parquet")


def _resolved(workspace: Workspace, source: str) -> Path:
    """A path from the current folder, or else from the settings file's."""
    beside = workspace.settings_file.parent / source
    return beside if not Path(source).exists() and beside.exists() else Path(source)


def _from_file(path: Path) -> Raw:
    kind = _kind(path.name)
    try:
        return Raw(path.read_bytes(), kind)
    except OSError as error:
        raise InputError(f"data.source {path}: {error.strerror}") from None


def _from_package(_workspace: Workspace, rest: str) -> Raw:
    """`package:NAME/path/to/file.csv`, a data file that an installed package ships."""
    package, _, path = rest.partition("/")
    try:
        return Raw(resources.files(package).joinpath(path).read_bytes(), _kind(path))
    except (ModuleNotFoundError, OSError):
        raise InputError(
            f"no installed package {package!r} has a file {path!r}; install it first"
        ) from None


def _from_sklearn(workspace: Workspace, name: str) -> Raw:
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
    return Raw(frame.to_csv(index=False).encode(), "csv")


def _from_s3(workspace: Workspace, rest: str) -> Raw:
    bucket, _, key = rest.removeprefix("//").partition("/")
    kind = _kind(key)
    if workspace.platform is None:
        import boto3

        client = boto3.client("s3")
    else:
        client = workspace.session.client("s3")
    return Raw(client.get_object(Bucket=bucket, Key=key)["Body"].read(), kind)


def _from_https(_workspace: Workspace, rest: str) -> Raw:
    kind = _kind(rest.partition("?")[0])
    return Raw(_download(urllib.request.Request(f"https:{rest}")), kind)


def _from_kaggle(workspace: Workspace, rest: str) -> Raw:
    """`kaggle:OWNER/DATASET/FILE`, with the key that lies in Secrets Manager and nowhere else."""
    import base64

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
    request = urllib.request.Request(f"{_KAGGLE_API}/{owner}/{dataset}/{file}")
    # Kaggle sends on to a storage of another host, which must not get the key.
    request.add_unredirected_header(
        "Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"
    )
    return Raw(_unzipped(_download(request), file), _kind(file))


def _unzipped(data: bytes, name: str) -> bytes:
    import zipfile

    if not data.startswith(b"PK\x03\x04"):
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(name if name in archive.namelist() else archive.namelist()[0])


def _download(request: urllib.request.Request) -> bytes:
    try:
        # Its own: urllib keeps one for the whole process, with the authorities of its first use.
        context = ssl.create_default_context()
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            data: bytes = answer.read(_MAX_DOWNLOAD_BYTES + 1)
    except (urllib.error.URLError, TimeoutError) as error:
        raise InputError(f"{request.full_url} cannot be downloaded: {error}") from None
    if len(data) > _MAX_DOWNLOAD_BYTES:
        raise InputError(f"{request.full_url} is larger than {_MAX_DOWNLOAD_BYTES >> 30} GiB")
    return data


_LOADERS: dict[str, Callable[[Workspace, str], Raw]] = {
    "sklearn": _from_sklearn,
    "package": _from_package,
    "s3": _from_s3,
    "https": _from_https,
    "kaggle": _from_kaggle,
}
