"""`keyless aws`: the AWS command line's calls on boto3, for machines without the AWS CLI."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

# The names under which the AWS command line has these services.
NAMES = {"s3api": "s3"}
GLOBAL = ("profile", "region", "endpoint-url", "query")


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
    options, outfile = _split(arguments)
    general = {name: options.pop(name, None) for name in GLOBAL}
    _call(service, operation, options, outfile, general)


def _split(arguments: Sequence[str]) -> tuple[dict[str, str], str | None]:
    """Options by name, with their values, and the one name of a file. Raises UsageError."""
    options: dict[str, str] = {}
    outfile, rest = None, list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            if outfile is not None:
                raise click.UsageError(f"{word!r} belongs to no option")
            outfile = word
            continue
        name, equals, value = word[2:].partition("=")
        if not equals:
            values = []
            while rest and not rest[0].startswith("--"):
                values.append(rest.pop(0))
                if values[0][:1] in "{[" or (len(values) == 1 and name in GLOBAL):
                    break
            # The last word may be the file that follows a single value.
            if len(values) == 2 and not rest and outfile is None:
                outfile = values.pop()
            value = " ".join(values) if values else "true"
        options[name] = value
    return options, outfile


def _call(
    service: str,
    operation: str,
    options: dict[str, str],
    outfile: str | None,
    general: dict[str, str | None],
) -> None:
    import boto3
    from botocore import xform_name
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        session = boto3.Session(
            profile_name=general["profile"], region_name=general["region"] or None
        )
        client = session.client(
            NAMES.get(service, service),  # type: ignore[call-overload]
            endpoint_url=general["endpoint-url"],
        )
        model = client.meta.service_model
        names = {xform_name(name, "-"): name for name in model.operation_names}
        if operation not in names:
            raise click.UsageError(f"{service} has no operation {operation!r}")
        shape = model.operation_model(names[operation]).input_shape
        given = dict(_parameters(options, shape.members if shape else {}))
        answer = getattr(client, xform_name(names[operation]))(**given)
    except ClientError as failure:
        click.echo(str(failure), err=True)
        raise SystemExit(254) from None  # as the AWS command line ends
    except BotoCoreError as failure:
        raise click.UsageError(str(failure)) from None
    answer.pop("ResponseMetadata", None)
    for name, value in list(answer.items()):
        if hasattr(value, "iter_chunks"):
            if outfile is None:
                raise click.UsageError("name a file for the body, such as /dev/stdout")
            with Path(outfile).open("wb") as file:
                file.writelines(value.iter_chunks())
            del answer[name]
    _print(answer, general["query"])


def _parameters(options: dict[str, str], members: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The request's members by the options' names. Raises UsageError."""
    from botocore import xform_name

    names = {xform_name(name, "-"): name for name in members}
    for option, text in options.items():
        on = not option.startswith("no-") or option in names
        name = names.get(option if on else option[3:])
        if name is None:
            raise click.UsageError(f"there is no option --{option}")
        yield name, _value(option, text, members[name]) if on else False


def _value(option: str, text: str, shape: Any) -> Any:
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
            simple = shape.type_name == "list" and text[:1] not in "[{"
            return text.split() if simple else json.loads(text)
    except (ValueError, OSError) as error:
        raise click.UsageError(f"--{option}: {error}") from None
    return text


def _print(answer: Any, query: str | None) -> None:
    import jmespath  # type: ignore[import-untyped]

    if query is not None:
        try:
            answer = jmespath.search(query, answer)
        except jmespath.exceptions.JMESPathError as error:
            raise click.UsageError(f"--query: {error}") from None
    if answer:
        click.echo(json.dumps(answer, indent=4, default=str))
