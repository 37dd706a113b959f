"""`keyless aws`: the AWS command line's calls on boto3, for machines without the AWS CLI."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

# The names under which the AWS command line has these services.
NAMES = {"s3api": "s3"}
GLOBAL = ("profile", "region", "endpoint-url")
Options = dict[str, list[str]]


@click.command(
    "aws",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.argument("service")
@click.argument("operation")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def aws(service: str, operation: str, arguments: tuple[str, ...]) -> None:
    """Send one request to AWS as the AWS command line would.

    \b
    keyless aws sts get-caller-identity --profile leaked
    keyless aws s3api get-object --bucket B --key K /dev/stdout

    Credentials, region and endpoint come from the environment and the profile. Of the AWS command
    line's own options it knows --profile, --region, --endpoint-url and --query; install the AWS
    CLI for the others, and for its own verbs such as `aws s3 cp`.
    """
    from botocore import xform_name
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    options, strays = _split(arguments)
    try:
        client = _client(service, options)
        model = client.meta.service_model
    except BotoCoreError as failure:
        raise click.UsageError(str(failure)) from None
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in names:
        raise click.UsageError(
            f"{service} has no operation {operation!r}{_instead(service, operation, names)}"
        )
    called = model.operation_model(names[operation])
    if called.has_streaming_output and not strays:
        strays = _last_word(options)
    if len(strays) > called.has_streaming_output:
        raise click.UsageError(f"{strays[-1]!r} belongs to no option")
    if called.has_streaming_output and not strays:
        raise click.UsageError("name a file for the body, such as /dev/stdout")
    query = " ".join(options.pop("query", [])) or None
    for name in GLOBAL:
        options.pop(name, None)
    given = dict(_parameters(options, called.input_shape.members if called.input_shape else {}))
    try:
        answer = getattr(client, xform_name(names[operation]))(**given)
    except ClientError as failure:
        click.echo(str(failure), err=True)
        raise SystemExit(254) from None  # as the AWS command line ends
    except NoCredentialsError as failure:
        raise click.UsageError(
            f"{failure}: name a --profile (in a lab, `. ./env.sh` first), or send it as a role of "
            "the local cloud: keyless tunnel --role train -- keyless aws sts get-caller-identity"
        ) from None
    except BotoCoreError as failure:
        raise click.UsageError(str(failure)) from None
    answer.pop("ResponseMetadata", None)
    for name, value in list(answer.items()):
        if hasattr(value, "iter_chunks"):
            with Path(strays[0]).open("wb") as file:
                file.writelines(value.iter_chunks())
            del answer[name]
    _print(answer, query)


def _instead(service: str, operation: str, names: Iterable[str]) -> str:
    """What may have been meant: a near name, or `s3api` for the AWS CLI's own verbs of S3."""
    import difflib

    near = difflib.get_close_matches(operation, names, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return "; `aws s3` is the AWS CLI's own, write s3api list-objects-v2" if service == "s3" else ""


def _split(arguments: Sequence[str]) -> tuple[Options, list[str]]:
    """Options by name with the words that follow each, and the words before any option."""
    options: Options = {}
    strays: list[str] = []
    words = strays
    for word in arguments:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            words = options[name] = [value] if equals else []
        else:
            words.append(word)
    return options, strays


def _last_word(options: Options) -> list[str]:
    """The file's name where it stands behind the value of the last option."""
    words = options[list(options)[-1]] if options else []
    return [words.pop()] if len(words) > 1 else []


def _client(service: str, options: Options) -> Any:
    import boto3

    profile, region, endpoint = (
        " ".join(options.get(name, [])[:1]) or None
        for name in ("profile", "region", "endpoint-url")
    )
    session = boto3.Session(profile_name=profile, region_name=region)
    return session.client(
        NAMES.get(service, service),  # type: ignore[call-overload]
        endpoint_url=endpoint,
    )


def _parameters(options: Options, members: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The request's members by the options' names. Raises UsageError."""
    from botocore import xform_name

    names = {xform_name(name, "-"): name for name in members}
    for option, words in options.items():
        on = not option.startswith("no-") or option in names
        name = names.get(option if on else option[3:])
        if name is None:
            raise click.UsageError(f"there is no option --{option}")
        yield name, _value(option, words, members[name]) if on else False


def _value(option: str, words: Sequence[str], shape: Any) -> Any:
    text = " ".join(words) if words else "true"
    if text.startswith("file://"):
        text = Path(text[7:]).read_text(encoding="utf-8")
    try:
        if shape.type_name in ("integer", "long"):
            return int(text)
        if shape.type_name == "boolean":
            return text != "false"
        if shape.type_name == "blob":
            return Path(text).read_bytes()
        if shape.type_name in ("list", "map", "structure"):
            return json.loads(text) if text[:1] in "[{" else _shorthand(words, shape)
    except (ValueError, OSError) as error:
        raise click.UsageError(f"--{option}: {error}") from None
    return text


def _shorthand(words: Sequence[str], shape: Any) -> Any:
    """A list of words, or of `Key=a,Value=b` as the AWS command line writes structures."""
    if shape.type_name == "list":
        inner = shape.member
        return [_shorthand([word], inner) if _is_deep(inner) else word for word in words]
    pairs = [part.partition("=") for word in words for part in word.split(",")]
    if any(not equals for _, equals, _ in pairs):
        raise ValueError("write NAME=VALUE,NAME=VALUE or JSON")
    return {name: value for name, _, value in pairs}


def _is_deep(shape: Any) -> bool:
    return shape.type_name in ("list", "map", "structure")


def _print(answer: Any, query: str | None) -> None:
    import jmespath  # type: ignore[import-untyped]

    if query is not None:
        try:
            answer = jmespath.search(query, answer)
        except jmespath.exceptions.JMESPathError as error:
            raise click.UsageError(f"--query: {error}") from None
    if answer:
        click.echo(json.dumps(answer, indent=4, default=str))
