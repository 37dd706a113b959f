"""What every component does: take a module's values, some of which only the deployment knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pulumi
import pulumi_aws as aws

from scripts.pulumi_platform.module import MODULES, Facts, Module, NotKnownYet, Values
from scripts.pulumi_platform.variables import ArgumentError


@cache
def _module(name: str) -> Module:
    return Module(MODULES / name)


class ModuleComponent(pulumi.ComponentResource):  # type: ignore[misc]  # untyped for mypy, see docs
    """A component that follows the Terraform module `module`, whose variables are its arguments."""

    module: str

    def __init__(
        self, name: str, args: Mapping[str, Any], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Check the arguments. Raises ArgumentError for what the module refuses."""
        super().__init__(f"keyless:platform:{type(self).__name__}", name, None, opts)
        self._followed = _module(self.module)
        later = {key for key, value in args.items() if _is_output(value)}
        known = {key: value for key, value in args.items() if key not in later}
        self._now = self._followed.values(known, unknown=later)
        facts = self._facts()
        self._soon = pulumi.Output.all(known, facts, sorted(later)).apply(self._settled)
        self._later = pulumi.Output.all(dict(args), facts, []).apply(self._settled)

    def value(self, of: Callable[[Values], Any]) -> pulumi.Output[Any]:
        """Something of the module that may depend on outputs, or on the account.

        It waits for those outputs alone that it needs: a preview knows the bucket's name even if
        the key is yet to be made.
        """

        def found(soon: Values) -> Any:
            try:
                return of(soon)
            except NotKnownYet:
                return self._later.apply(of)

        return self._soon.apply(found)

    def made(self, resource: str) -> bool:
        """Whether the module makes a resource with these arguments.

        Raises ArgumentError if that depends on an output: a preview could not tell.
        """
        try:
            return self._now.made(resource)
        except NotKnownYet as error:
            raise ArgumentError(
                f"{error} decides whether there is {resource}; give its value, not an output."
            ) from error

    def called(self, suffix: str) -> str:
        """The name of a resource of this component: Terraform's, behind the component's own."""
        return f"{self.pulumi_resource_name}-{suffix}"

    def child(self, *after: pulumi.Resource) -> pulumi.ResourceOptions:
        """Options of a resource of this component, made after others that it does not refer to."""
        return pulumi.ResourceOptions(parent=self, depends_on=list(after))

    def _settled(self, given: list[Any]) -> Values:
        args, facts, later = given
        values = self._followed.values(args, Facts(**facts), unknown=later)
        values.check()
        return values

    def _facts(self) -> dict[str, pulumi.Output[str]]:
        """Asked of the same provider that makes the resources."""
        asked = pulumi.InvokeOptions(parent=self)
        return {
            "account_id": aws.get_caller_identity_output(opts=asked).account_id,
            "partition": aws.get_partition_output(opts=asked).partition,
            "region": aws.get_region_output(opts=asked).id,
        }


def _is_output(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_is_output(each) for each in value.values())
    if isinstance(value, list | tuple):
        return any(_is_output(each) for each in value)
    return isinstance(value, pulumi.Output)


def nested(blocks: list[dict[str, Any]], *, repeated: Mapping[str, str]) -> list[dict[str, Any]]:
    """Terraform's blocks as Pulumi writes them.

    A block that can occur once only is a dictionary, one of `repeated` a list under a plural name.
    """
    return [_nested(block, repeated) for block in blocks]


def _nested(block: Mapping[str, Any], repeated: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in block.items():
        if name in repeated:
            found[repeated[name]] = nested(value, repeated=repeated)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            (found[name],) = nested(value, repeated=repeated)
        elif value is not None:
            found[name] = value
    return found
