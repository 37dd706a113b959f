"""Where a call went and what it was on, by the whole of a text: its partition, its region, its
account and the names in its code. The words of a refusal leave these out, or stand far from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

# https://docs.aws.amazon.com/general/latest/gr/rande.html
_REGION = re.compile(
    r"(?<![a-z\d])(?:us-gov|us-isob?|eusc-de|us|eu|ap|ca|sa|me|af|il|mx|cn)"
    r"-(?:north|south|east|west|central|northeast|northwest|southeast|southwest)-[1-9](?!\d)"
)
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
_GOVCLOUD = re.compile(r"\bGovCloud\b", re.IGNORECASE)
_ARN = re.compile(r"arn:(?P<partition>aws(?:-cn|-us-gov)?):[\w-]+:[^:\s]*:(?P<account>\d{12}):")
_PARTITION = re.compile(r"arn:(aws(?:-cn|-us-gov)?):")
_WHOLE_NAME = r"[A-Za-z\d][\w.:/@+=-]{1,200}"
# A parameter as programs, templates and command lines write it.
_NAMED = re.compile(
    rf"(?<![\w.-])[\"']?(?P<key>\w*(?:[nN]ame|[iI]d)|[bB]ucket|[tT]able)[\"']?\s*(?:=>|[:=])\s*"
    rf"[@bru]?(?P<quote>[\"'])(?P<value>{_WHOLE_NAME})(?P=quote)"
    rf"|(?<!\S)--(?P<option>[a-z-]+-(?:name|id)|bucket)[ =](?P<given>[A-Za-z\d][\w.:/@+-]+)"
)
_ROLE = re.compile(r"arn:[\w-]+:iam::(?:\$\{[^}]*\}|[^:\s])*:role/([\w+=,.@/-]*[\w+=@/-])")
_FORM = re.compile(
    r"arn:aws:(?P<service>[\w-]+):(?P<region>REGION)?:(?P<account>ACCOUNT)?:"
    r"(?P<rest>[^\s,;()\"]*[^\s,;()\".])"
)
# Where AWS's reference has several kinds, those that a name was found for.
_SEVERAL = re.compile(
    r"one or more of (?P<forms>arn:[^\s,]+(?:, arn:[^\s,]+)*)(?P<more> and \d+ kinds more)?"
    r"(?:, or \* where the call touches none of these)?"
)
_VARIABLE = re.compile(r"<(\w+)>")
# What an ARN has in a name's place: what is within a thing, a wildcard and a word are none.
_THING = re.compile(
    r"arn:aws[\w-]*:(?P<service>[a-z][\w-]*):(?P<region>[a-z\d-]*):(?P<account>\d{12}):"
    r"(?P<kind>(?:[a-z][a-z-]*[/:])?)(?P<name>[\w.+=@-]*[\w+=@-])(?![\w/:+=@*?<${-]|\.\w)"
)
# Who calls is no answer to what was called.
_WHO = ("iam", "sts")
_ENDS = re.compile(r"(?:withpath|withoutleadingslash|name|id)+$")
# A profile's id begins with where it sends a call.
# https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html
_PROFILE = re.compile(r"(?:us|eu|apac|au|ca|jp|us-gov|global)\.")


@dataclass(frozen=True)
class Place:
    """What a text tells of a call's place, "" where it tells nothing or of several; `own` has what
    the refusal tells itself."""

    partition: str = ""
    region: str = ""
    account: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    things: Mapping[tuple[str, str], re.Match[str]] = field(default_factory=dict)
    """The only one of a kind in the text's ARNs, by service and what stands before the name."""
    own: tuple[str, ...] = ()

    def of(self, principal: str, resource: str) -> Place:
        """The same of one refusal, whose caller and resource tell more than the text around."""
        caller, asked = _parts(principal), _parts(resource)
        # What a caller asks for by no whole ARN is its own account's.
        account = next((one for one in (asked[4], caller[4]) if one.isdigit()), "")
        known = _REGION.fullmatch(asked[3])
        region = asked[3] if known else self.region
        partition = next((one[1] for one in (asked, caller) if one[1]), self.partition)
        return replace(
            self,
            partition=partition,
            region=region,
            account=account,
            own=(
                partition if caller[1] or asked[1] else "",
                region if known else "",
                account,
                *(one["name"] for one in self.things.values() if one[0] == resource),
            ),
        )

    @property
    def is_profile(self) -> bool:
        """Whether the text's model is a profile of Bedrock's, which asks its model in regions."""
        return _PROFILE.match(self.names.get("model", "")) is not None

    def filled(self, told: str) -> str:
        """What is told, with these in the place of the words that AWS's reference has."""
        used: list[str] = []

        def there(form: re.Match[str]) -> str:
            if not (form["region"] or form["account"] or "<" in form["rest"]):
                return form[0]
            rest = self._named(form["service"], form["rest"], used)
            several = form["service"] == "bedrock" and self.is_profile and not form["account"]
            region = form["region"] and ("*" if several else self.region or form["region"])
            account = form["account"] and (self.account or form["account"])
            used.append(self.partition)
            used.append(self.region if form["region"] and not several else "")
            used.append(self.account if form["account"] else "")
            return (
                f"arn:{self.partition or 'aws'}:{form['service']}:{region or ''}:{account or ''}:"
                f"{rest}"
            )

        text = _FORM.sub(there, told)
        text = _SEVERAL.sub(_of_named, text) if used else text
        beside = [one for one in dict.fromkeys(used) if one and one not in (*self.own, "aws")]
        if not beside:
            return text
        return (
            f"{text.removesuffix('.')} ({' and '.join(beside)}: by other words of the text, taken "
            "for this call's)"
        )

    def _named(self, service: str, rest: str, used: list[str]) -> str:
        """A form's part behind the account with the names that the text's code has."""
        model = self.names.get("model", "")
        if service == "bedrock" and "." in model:
            known = {"foundation-model/<ResourceId>": _PROFILE.sub("", model)}
            if self.is_profile:
                known["inference-profile/<ResourceId>"] = model
            if name := known.get(rest):
                used.append(model)
                return rest.replace("<ResourceId>", name)
        for variable in _VARIABLE.findall(rest):
            if value := self.names.get(_short(variable)):
                used.append(value)
                rest = rest.replace(f"<{variable}>", value, 1)
        kind, begins, _ = rest.partition("<")
        thing = self.things.get((service, kind)) if begins else None
        if (
            thing
            and thing["region"] in ("", self.region or thing["region"])
            and thing["account"] == (self.account or thing["account"])
        ):
            used.append(thing["name"])
            rest = rest.replace(rest[len(kind) : rest.index(">") + 1], thing["name"], 1)
        return rest


NOWHERE = Place()


def _of_named(found: re.Match[str]) -> str:
    """The kinds that have a name, of several of which a call may be for one."""
    forms = found["forms"].split(", ")
    named = [one for one in forms if "<" not in one and "/" in one]
    return " and ".join(named) if 0 < len(named) < len(forms) else found[0]


def told(text: str) -> Place:
    """What a text tells."""
    regions = {one[0] for one in _REGION.finditer(text)}
    partitions = {one[1] for one in _PARTITION.finditer(text)}
    by_region = {
        next((of for begins, of in _PARTITIONS.items() if one.startswith(begins)), "aws")
        for one in regions
    }
    known = partitions or by_region
    if not known and _GOVCLOUD.search(text):
        known = {"aws-us-gov"}
    return Place(
        _only(known), _only(regions), _only(one["account"] for one in _ARN.finditer(text)),
        _names(text), _things(text),
    )  # fmt: skip


def _things(text: str) -> dict[tuple[str, str], re.Match[str]]:
    found: dict[tuple[str, str], dict[str, re.Match[str]]] = {}
    for one in _THING.finditer(text):
        if one["service"] not in _WHO:
            found.setdefault((one["service"], one["kind"]), {})[one["name"]] = one
    return {kind: next(iter(of.values())) for kind, of in found.items() if len(of) == 1}


def _names(text: str) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for one in _NAMED.finditer(text):
        key = _short(re.sub(r"[_-]", "", one["key"] or one["option"]))
        if key:
            found.setdefault(key, set()).add(one["value"] or one["given"])
    found.setdefault("role", set()).update(one[1] for one in _ROLE.finditer(text))
    told = ((key, _only(values)) for key, values in found.items())
    return {key: value for key, value in told if value and not value.startswith("arn:")}


def _short(name: str) -> str:
    return _ENDS.sub("", name.lower())


def _only(found: Iterable[str]) -> str:
    """The only one of them; "" where there is none or several."""
    different = {*found}
    return different.pop() if len(different) == 1 else ""


def _parts(arn: str) -> list[str]:
    return [*arn.split(":", 5), *[""] * 6] if arn.startswith("arn:") else [""] * 6
