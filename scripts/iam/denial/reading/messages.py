"""Denials as AWS words them: read from a CI log, an error message or CloudTrail."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from scripts.iam.account.decision_log import Record
from scripts.iam.denial.reading import by_name, calls, decoded, events, named, services
from scripts.iam.denial.reading.callerless import (
    SENTENCES,
    cause,
    of_a_queue,
    of_ec2_alone,
    of_sentence,
    of_service_alone,
)
from scripts.iam.denial.reading.s3 import of_s3_alone, operation_of_s3
from scripts.iam.denial.reading.written import begins_anew, begins_error, unbroken, unescaped
from scripts.iam.engine.evaluation import Reason
from scripts.iam.reference import (
    GLOBAL_REGION,
    is_global,
    judged,
    makes_whole,
    placeless,
    resources,
    spelled,
    unknown,
)
from scripts.iam.reference.place import NOWHERE, Place
from scripts.iam.reference.place import told as place_told

# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
LAYER = (
    "identity-based policy|resource-based policy|permissions boundary|sessions? policy|"
    "service control policy|resource control policy|VPC endpoint policy|role trust policy"
)
# GitHub puts stars in the place of a masked account. An alarm is a caller, too, and S3 names the
# setting that refuses what would be public.
_CALLER = (
    r"arn:[\w-]+:(?:sts|iam)::(?:\d{12}|\*{3,4}):[^\s\"]+|"
    r"arn:[\w-]+:cloudwatch:[\w-]+:(?:\d{12}|\*{3,4}):alarm:.{1,255}?|anonymous|[a-z][\w.-]*\.amazonaws\.com"
)
BLOCKED = "S3 Block Public Access"
# KMS does not say which key; it goes on with three causes, and which one it was is not told.
UNNAMED_KEY = "on (?:the resource associated with this ciphertext|this resource(?= because the))"
# IAM names what it guards by kind and name, other services by ARN; S3 puts it in quotes.
KINDS = (
    "role|user|group|policy(?: path)?|instance profile|mfa device|server certificate|oidc provider"
)
# A name with blanks in it ends where the sentence goes on, or with the sentence where an SDK does;
# the next error begins with its code or its caller.
_CODE_OR_CALLER = r"User:|Error:|\w+(?:Exception|Error)\b|AccessDenied|UnauthorizedOperation"
_GOES_ON = r"(?: (?:because no [\w -]+ allows|with an explicit deny)| \(Service: )"
NAME_WITH_BLANKS = (
    rf"arn:[^\s\"]+(?:(?! because | with an explicit| (?:{_CODE_OR_CALLER})) "
    rf"[^\s\"(]+){{0,12}}(?={_GOES_ON})"
)
_NAME = rf"(?:{NAME_WITH_BLANKS}|[^\s\"]+)"
_SENTENCE = re.compile(
    rf"(?:(?:User|Resource):? )?(?P<principal>{_CALLER}) "
    r"is not authorized to perform:? (?P<action>[\w-]+:\w+)(?!\w|…|\.{3})"
    rf"(?: on resource:? (?:\"(?P<quoted>[^\"]+)\"|\"?(?P<resource>(?:(?:{KINDS}) )?{_NAME})))?"
    # What was elided, or KMS's word for a key that it does not name.
    rf"(?P<unnamed> {UNNAMED_KEY})?(?: (?:\.{{3}}|…|on this resource(?= (?:because no|with an))))?"
    rf"\"?(?:[,.]? (?:because no ?(?P<missing>{LAYER})(?: allows the (?P<lacking>\S+) action)?"
    r"|because public [\w ()]+ are (?:prevented|blocked) by the (?P<setting>\w+)"
    rf" (?:setting in {BLOCKED}|block public access setting)"
    rf"|(?P<explicit>with an explicit deny)"  # before 2021 the sentence ended here
    rf"(?: in (?:an?|the) (?P<deny>{LAYER})(?: transitively through an? (?P<through>{LAYER}))?"
    rf"(?:: (?P<policy>arn:[^\s\"]+))?)?))?"
)
# Services of old that name the caller, and neither action nor resource; and a sentence cut there.
_NO_ACTION = re.compile(
    rf"(?:User:? )?(?P<principal>{_CALLER}) is not authorized to "
    r"(?:access this resource|perform(?=(?::? (?!null\b)[a-z-]{0,20})?[\W_]*$|[`'\".] ))"
    # What Guzzle, of PHP, left of AWS's own sentence.
    rf"|User: (?P<begun>{_CALLER}) is(?: n(?:ot?(?: [a-z: -]{{0,30}})?)?)? ?\(truncated\.{{3}}\)"
)
_ZONE = re.compile(r"/hostedzone/(Z\w+)")
# AWS's own sentence, of which the end of a text left no more.
_CUT = re.compile(r"\bUser: (arn:\S+)(?: is(?: not(?: auth\w*)?)?)?$")
# Support writes its prefix alone, and the call stands before it.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html
_ACCESS_LOG = re.compile(
    r"(?<!\S)(?P<bucket>\S{3,80}) \[[^\]]{1,40}\] \S{1,50} (?P<who>arn:\S{1,300}|-) "
    r"(?P<id>\S{1,40}) "
    r"[A-Z]+\.(?P<operation>[A-Z]+\.[A-Z_]+) (?P<key>\S+) \"[^\"]*\" 403 AccessDenied\b"
)
_LOGGED = {
    "HEAD.BUCKET": "ListBucket", "GET.BUCKET": "ListBucket", "GET.LOCATION": "GetBucketLocation",
    "GET.OBJECT": "GetObject", "HEAD.OBJECT": "GetObject", "COPY.OBJECT_GET": "GetObject",
    "PUT.OBJECT": "PutObject", "PUT.PART": "PutObject", "POST.UPLOADS": "PutObject",
    "POST.OBJECT": "PutObject", "COPY.OBJECT": "PutObject", "DELETE.OBJECT": "DeleteObject",
}  # fmt: skip
# Prometheus quotes the action's name alone.
_PARTED = re.compile(r"(perform:? [a-z][\w-]*:) ?[\"'](\w+)[\"']")
_PREFIX_ALONE = re.compile(
    r"(calling the (?P<call>\w+) operation: .{0,300}?to perform:? [\w-]+:)(?![\w…*]|\.{3})"
)
# Quotes around a caller and an action, and blanks where an account or a name was masked.
_QUOTES = re.compile(
    r"[`'\"](arn:[^`'\"\s]+)[`'\"](?= is not authorized)|(?<=to perform )[`'\"]([\w-]+:\w+)[`'\"]"
    r"|(?<=on resource )[`'](?=arn:)"
)
# An account, or a region, too, that whoever reports a denial took out of an ARN which has both.
_LEFT_OUT = re.compile(r"(arn:[\w-]+:(?:sts|iam):):{1,2}(?=(?:assumed-role|user|role)/)")
_WITHIN = re.compile(_LEFT_OUT.pattern + r"(?=\S+ is not authorized)")
_WHOLE_CALLER = re.compile(r"arn:[\w-]+:(?:sts|iam)::\d{12}:\S+ is not authorized")
# Dots between blanks in the place of an account.
_DOTS = re.compile(r"(arn:[\w-]+:[\w-]+:[\w-]*): ?(?:\.{3}|…) ?:(?=\w)")
_CROSSED_OUT = re.compile(r"(to perform:? [a-z][\w-]*:)[xX]{3,}\b")
# IAM's own short names, as it wrote them before it wrote ARNs.
_SHORT = re.compile(
    r"(\bUser: |to perform:? iam:\w+ on resource: )(?=(?:user|role|group|policy)/\S)"
)
# A session is STS's; whoever hides an account may write the other service.
_SESSION = re.compile(r"(arn:[\w-]+:)iam(::[^:\s]+:assumed-role/)")
# Of these services an ARN may have neither region nor account; of AWS's reference others have none.
_PLACELESS = frozenset(
    [
        "s3",
        "iam",
        "sts",
        "route53",
        "cloudfront",
        "globalaccelerator",
        "organizations",
        "waf",
        "budgets",
        "support",
        "bedrock",
        "shield",
        "health",
        "artifact",
        "aws-portal",
    ]
)
_NOWHERE = re.compile(r"(arn:[\w-]+:(?P<service>[\w-]+)):::(?=\w)")
_SPACED = re.compile(
    r"(arn:[\w-]+:(?:iam|sts)::\S{1,40}?) ?(:(?:user|role|assumed-role)/) ?(?=\S+ is not)"
)
# No user's name has a blank: somebody put words in its place.
_TWO_WORDS = re.compile(r"(:iam::\S{1,20}:user/[\w+=,.@/-]+) (?=[\w+=,.@-]+ is not authorized)")
_ROLE = r"iam::(?:\d{12}|\*{3,4}):role/(?:[^/\s]+/)*([^/\s]+)"
# A masked account without the colon behind it.
_RUN_ON = re.compile(r"(arn:[\w-]+:[\w-]+:[\w-]*:(?=[\dxX*]{5})[\dxX*]+)(?=[a-wyz][a-z-]+[/:])")
_GLUED = re.compile(r"(:(?:assumed-role|user|role)/\S+?)(?=is not authorized to perform)")
_APART = re.compile(r"(:assumed-role/[^\s/]+/) (?=[\w+=,.@-]+ is not)")
# A blank in the kind of a resource is whoever reported it; what stands there is not told.
_BLANK = re.compile(
    r"(?P<before>to perform:? (?P<action>[\w-]+:\w+) on resource:? "
    r"arn:[\w-]+:[\w-]+:[^\s:]*:[^\s:]*:)"
    r"(?P<kind>[a-z-]+ [a-z]+)(?=/\S)"
)
_QUOTED = re.compile(r"`([^`'\s]+)'")
# What a terminal breaks at its edge: an ARN, where the sentence goes on behind it, and an action.
_HYPHEN = re.compile(r"(:(?:sts|iam|[\w-]+):[^\s\"]*:[^\s\":]*-)\r?\n(?=[\w-]+[ \"',)])")
_WRAPPED = re.compile(
    r"(?P<before>to perform:?\s+(?P<action>[\w-]+:\w+)\s+on\s+resource:?\s+\"?)"
    r"(?P<begun>arn:[^\s\"]{0,300})[ \t]*\r?\n[ \t]*(?P<rest>[^\s\"]{1,2000})"
)
# What Markdown sets in bold letters ends in two stars, and no ARN does.
_BOLD = re.compile(r"(?<=[\w:/])\*\*(?=\s|$)")
_COLON = re.compile(r"(?<=not authorized to perform) (?=: [\w-]+:\w)")
# AWS's own pages print the sentence without the blank.
_NO_BLANK = re.compile(r"(to perform|on resource):(?=[^\s:])")
# A page that lost the blank behind the action, or behind a star that ends a name.
_NO_END = re.compile(
    r"(?<=to perform: )[\w-]+:\w+(?=on resource: )|(?<=on resource: )arn:\S+/\*(?=[A-Z][a-z]+ )"
)
# A sentence whose caller a line's end breaks.
_SENTENCE_BEGINS = re.compile(r"User: arn:\S+$")
_BROKEN = re.compile(r"(?<=to perform: )(?P<begun>[\w-]+:\w*) (?P<rest>\w+)")
# Who reports a denial in public puts something in the place of the account: a few digits, or words.
# API Gateway itself leaves four digits.
_HIDDEN = re.compile(r"(?<=:)(?!\d{12}:|aws:|cloudfront:)[^:]+(?=:)")
_WORD = r"<[^<>:]+>|\$?\{[^{}]+\}|\[[^\[\]:]+\]"
_ARN = re.compile(rf"(arn:[\w-]+:[\w-]+:)((?:{_WORD}|[^:\s\"]*))(:(?:{_WORD}|[^:\s\"]+):)")
# And in the place of the region.
_REGION = re.compile(r"([a-z]{2,3}(-[a-z]+)+-\d)?")
# A placeholder of several words, and one that tells nothing but that something is hidden.
_SEVERAL = r"[A-Za-z][\w-]*(?: [\w-]+){1,3}"
_PLACEHOLDER = re.compile(rf"<{_SEVERAL}>")
_IN_A_NAME = re.compile(
    rf"(arn:[\w-]+:[^\s\"]*?)(?:\$?\{{({_SEVERAL})\}}|\[({_SEVERAL})\]|(?<=[:/])_({_SEVERAL})_(?!\w))"
)
# Java's errors within others, as Elasticsearch prints them.
_NESTED = re.compile(
    r"\b([A-Z]\w*(?:Exception|Error))\[((?:[^\[\]]|\[[^\[\]]{0,2000}\]){1,2000})\]"
)
_RUN = re.compile(r"([a-z\d])\1+")
_SESSION_OF = re.compile(r"^(.+:assumed-role/[^/]+)/.+")
_HIDES = re.compile(r"[xX]{4,}|\*{4,}")
_DIGITS = re.compile(r"[\dXx*]+")
_MERELY = re.compile(
    r"[\W_]*(?:\d{2,}|redacted|masked|hidden|omitted|snip|(?:my|aws)?_?(?:ac(?:oun)?t)?_?"
    r"(?:id|number|no|here|num)?)[\W_]*",
    re.IGNORECASE,
)
_ANOTHER = re.compile(r"different|(?<![a-z])(?:an)?other(?![a-z])|foreign")
_ACTION = re.compile(r"(?P<action>[\w-]+:\w+)")
# Actions that are told; no keys of conditions.
_NAMED = re.compile(
    r"(?<![\w:/-])(?!aws:|iam:(?:PassedToService|PermissionsBoundary|AWSServiceName)\b)"
    r"[a-z][a-z0-9-]*:[A-Z]\w+"
)
_NUMBERS = re.compile(r"\b(?=\w*\d)[\da-f]{6,}\b|\d+")
_ALONE = re.compile(r"\b(?:S3|EC2)\b|(?<=begin with )[a-z][\w-]*(?=:)")
# Where the first SDK for Go ends an error.
_OVER = re.compile(r"status code: \d+, request id: \S")
# As long as stacks get, in letters.
_STACK = 6000
_DEBUG = re.compile(r"DEBUG: Response s3/\w+ Details:(?:(?!Response ).){0,400}? 403\b")
_OF_STATE = re.compile(r"[Ee]rror (?:refreshing|loading) state: AccessDenied")
_BESIDE = re.compile(
    r"(?:(?!is not authorized to perform).){0,200}?[Ee]ncoded authorization failure message"
)
_ALL_OF_EC2 = re.compile(r"arn:[\w-]+:ec2:[^:]*:[^:]*:[a-z-]+/\*")
_REQUEST = re.compile(r"[Rr]equest ?[Ii][Dd]:? ?[\"']?([\w-]{10,})")
# An id behind the sentence, unless the next sentence begins with it.
_BEHIND = re.compile(_REQUEST.pattern + r"(?!.{0,200}?api error)")
_OPERATION = re.compile(r"operation error ([\w ]+): (\w+)|calling the (\w+) operation")
_BARE = re.compile(
    r"AccessDenied\w*|(?<!EC2 Error Code: )UnauthorizedOperation|Not authorized to perform sts:\w+|"
    rf"{services.SENTENCES}|(?:\b(?:is|are) )?not authorized to (?:perform(?! this operation)"
    r"|access this resource)|"
    r"\b(?:(?:Amazon|AWS)[A-Z]\w*|S3)Exception: (?:Access ?[Dd]enied|Forbidden)|"
    r"Forbidden\b(?=.{0,40}?status code:? 403)|\b403 (?:Client Error: )?Forbidden\b|"
    r"(?<=: )Insufficient permissions\b|"
    rf"because no (?:{LAYER}) allows the \S+|explicit deny in an? (?:{LAYER})|{SENTENCES}"
    r"|\[AWS [\w-]+ 403 [^\]]{1,60}\] \w+\("
    r"|DEBUG: Response [a-z]\S*/\w+ Details:(?:(?!Response ).){0,400}?HTTP/[\d.]+ 403"
)
# How people write about a denial, in a title or a question: an error's code has its message, a sign
# or nothing behind it, and AWS's own sentence an action.
_TALK = re.compile(
    r"(?:AccessDenied\w*|UnauthorizedOperation)(?:['\"`*]+ (?=\w)"
    r"| (?:(?!because |with |status )[a-z]+\b|Exception\b|Error\b))"
    r"|(?:AccessDenied\w*|UnauthorizedOperation) (?:[\u2013\u2014]|- I) |403 Forbidden [a-z]+ "
    r"|(?:AccessDenied\w*|UnauthorizedOperation)[.?!]? (?:I|I'(?:m|ve)|We|We're|Hi|Hello),? [a-z*`]"
    r"|AccessDenied\w*: (?:Fix|How|Why|What|When|Understand|Resolv|Troubleshoot|Solv)\w* "
    r"|permissions? to perform the [\w-]+:\w+ action\b"
    r"|(?:\b(?:is|are) )?not authorized to perform (?:an?|any|the|some|my|that) "
    r"|(?:(?<=I'm )|(?<=I am ))not authorized"
)
_SERVICE = re.compile(r"[.]? ?\(Service: (?:Amazon|AWS)?(\w+)[;,]")
# CloudFormation names what it called in front of what that answered.
_API = re.compile(r"\bAPI: (?P<service>\w+)(?::(?P<call>\w+))? $")
# What a sentence that is no title of another's has behind its action.
_GOES_ON_WITH = re.compile(r"['\"]?[,.]? (?:on (?:the )?resource:? \S|because|with an explicit)")
_TELLS = re.compile(r"(?:\b(?:is|are) )?not authorized to perform:? ['\"]?([\w-]+:\w+)")
# An SDK's code directly behind AWS's sentence: "(code=AccessDeniedException)", or the next field.
_CODE = re.compile(
    r"(?: ?\(Service:[^()]*\))?(?:[.,;]? ?[(\[{] ?(?:\w+ ?[=:] ?)?['\"]?"
    r"|['\"]?[},;]* ?u?['\"]?(?:\w*code|\w*type|name|error)['\"]? ?[:=] ?u?['\"]?)[\w.#:]*",
    re.IGNORECASE,
)
# The log of a topic's deliveries.
_TOPIC = re.compile(
    r"\"topicArn\": ?\"(?P<topic>arn:[\w-]+:sns:[^\"]+)\"(?:.{0,600}?\"destination\": ?"
    r"\"(?P<to>[^\"]+)\")?(?:(?!\"topicArn\").)*\"?providerResponse\"?: ?"
)
_RECORD_ENDS = re.compile(r"\}[\" ]*\} ?\}")
# Python puts the class of an error behind a colon.
_ERROR = re.compile(r" \w*(?:Error|Exception)\b")
_FIELD = re.compile(r"(?:code|name|type)['\"]?: ?(['\"])?$", re.IGNORECASE)
# What terminals, GitHub, Terraform and Markdown put before and between the words.
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_STAMP = re.compile(
    r"^(?:[^\n\t]*\t[^\n\t]*\t)?\ufeff?(?:\d{4}-\d\d-\d\dT[\d:.]+Z ?)?", re.MULTILINE
)
_FRAME = re.compile(
    r"^[^\S\n]*(?:##\[\w+\]|[│╷╵|]|,(?=\s{2})|(?://+|#+)(?=\s)|(?:> ?)+)?[ \t]*|[ \t]*│[ \t]*$",
    re.MULTILINE,
)
_NUMBER = re.compile(r"\+[\dXx*]+")
# In AWS's own sentence it is the caller, and what the sentence lacks is told.
_IDENTITY = re.compile(
    r"(?<!resource: )(?<!resource )arn:[\w-]+:(?:iam|sts)::[^:\s]{1,40}:(?:user|role|assumed-role)/"
    r"(?:[\w+=.@/-]|,(?=\w)(?!,arn:))++(?! is not authorized)",
    re.ASCII,
)
GLOBAL_MODEL = re.compile(r"^arn:[\w-]+:bedrock:::foundation-model/")
_WHOLE = re.compile(r"arn:[\w-]+:[\w-]+:[\w-]*:[\w-]*:.+")
# A service-linked role has its service in its path.
_LINKED = re.compile(r":role/aws-service-role/([\w.-]+)/")
# Of the keys that are the same for every service, those that a decoded message has.
_TAGS = ("aws:requesttag/", "aws:resourcetag/", "aws:tagkeys")
MASK = "***"
HIDDEN = "<hidden>"
OTHER = "****"
"""Another hidden account than the first one."""
_AWS_REASONS = {
    "identity-based policy": Reason.NO_IDENTITY_ALLOW,
    "permissions boundary": Reason.NO_BOUNDARY_ALLOW,
    "resource-based policy": Reason.NO_RESOURCE_ALLOW,
    "role trust policy": Reason.NO_RESOURCE_ALLOW,
    "session policy": Reason.NO_SESSION_ALLOW,
    "service control policy": Reason.NO_SCP_ALLOW,
    "resource control policy": Reason.NO_RCP_ALLOW,
    "VPC endpoint policy": Reason.NO_ENDPOINT_ALLOW,
}


@dataclass(frozen=True)
class Refusal:
    """A denial as AWS reported it. `resource` is None where the message names none, and may be a
    bare name; `layer` is the kind of policy that decided, in AWS's words, and empty where the
    message does not say."""

    principal: str
    action: str
    resource: str | None
    layer: str = ""
    explicit: bool = False
    policy: str | None = None
    request_id: str = ""
    operation: str = ""
    time: float = 0.0
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unnamed: bool = False
    """Whether KMS told that it refused the key of a ciphertext, and not which key."""
    asked: str = ""
    """The service that refused, where Java's SDK names it behind the sentence."""
    also: str = ""
    """What else the same words are said of."""
    every_key: bool = False
    """Whether the message is a whole decoded one; `tells` says of which keys it has all."""
    lacks: bool = False
    """Whether a decoded message tells that an Allow is lacking."""
    encoded: bool = False
    """Whether an encoded part stands behind the sentence, which holds the keys it does not tell."""

    @property
    def role(self) -> str | None:
        """The name of the role whose session it was; some services name the role itself."""
        session = r"(?:sts::(?:\d{12}|\*{3,4}):assumed-role/([^/]+)(?:/.+)?"
        found = re.fullmatch(rf"arn:[\w-]+:{session}|{_ROLE})", self.principal)
        return found[1] or found[2] if found else None

    @property
    def role_arn(self) -> str | None:
        """The ARN of the role, if it is named with it; a session's has no path."""
        return self.principal if self.role and ":role/" in self.principal else None

    @property
    def account(self) -> str:
        """The caller's account."""
        parts = self.principal.split(":")
        return parts[4] if len(parts) > 4 else ""

    @property
    def is_global(self) -> bool:
        """Whether it is of a service that answers in one region alone."""
        return self.principal.startswith("arn:aws:") and is_global(self.action)

    @property
    def is_of_an_api(self) -> bool:
        """Whether it is an API's of API Gateway, to whoever sends no signature that is read."""
        return self.principal == "anonymous" and self.action.lower() == "execute-api:invoke"

    @property
    def is_text_message(self) -> bool:
        """Whether it was sent to a telephone: a number has no ARN, so a policy can name * alone."""
        number = _NUMBER.fullmatch(self.resource or "")
        return self.action.lower() == "sns:publish" and number is not None

    @property
    def arn(self) -> str | None:
        """The resource as a policy names it; None where the message does not tell it whole."""
        if self.is_text_message:
            return "*"
        known = self.resource == "*" or _WHOLE.fullmatch(self.resource or "")
        # As a pattern the stars of a mask would take anything.
        return self.resource if known and MASK not in str(self.resource) else None

    def record(self) -> Record:
        """As the decision log would have it, with the keys that are known."""
        if self.explicit:
            reason = str(Reason.EXPLICIT_DENY)
        else:
            reason = str(_AWS_REASONS.get(self.layer, Reason.NO_IDENTITY_ALLOW))
        principal = "*" if self.principal == "anonymous" else self.principal
        service = self.action.partition(":")[0]
        return Record(
            time=self.time,
            request_id=self.request_id or "unknown",
            principal=principal,
            role=self.role,
            service=service,
            operation=self.operation or self.action.partition(":")[2],
            action=self.action,
            resource=self.arn or "*",
            keys=self.known_keys(),
            reason=reason,
            policy=self.policy,
        )

    def known_keys(self) -> dict[str, tuple[str, ...]]:
        """The condition keys that follow from what was said."""
        keys: dict[str, tuple[str, ...]] = {}
        if self.account:
            keys["aws:PrincipalAccount"] = (self.account,)
        if ":user/" in self.principal:
            keys["aws:PrincipalArn"] = (self.principal,)
            keys["aws:username"] = (self.principal.rpartition("/")[2],)
        parts = (self.arn or "").split(":", 5)
        if service := _LINKED.search(self.arn or ""):
            keys["iam:AWSServiceName"] = (service[1],)
        if len(parts) == 6:
            if parts[4].isdigit():
                keys["aws:ResourceAccount"] = (parts[4],)
            if parts[3]:
                keys["aws:RequestedRegion"] = (parts[3],)
        if GLOBAL_MODEL.search(self.arn or ""):
            # https://docs.aws.amazon.com/bedrock/latest/userguide/global-cross-region-inference.html
            keys["aws:RequestedRegion"] = ("unspecified",)
        if self.is_global:
            keys["aws:RequestedRegion"] = (GLOBAL_REGION,)
        call = self.operation or self.asked.lower()
        if self.action.lower() == "iam:passrole" and call in calls.PASSES:
            keys["iam:PassedToService"] = (calls.PASSES[call],)
        # What EC2 and others call a resource's tag is what AWS calls it, too.
        aliases = {
            f"aws:ResourceTag/{name.partition(':ResourceTag/')[2]}": values
            for name, values in self.keys.items()
            if ":ResourceTag/" in name
        }
        return keys | aliases | dict(self.keys)

    def tells(self, key: str) -> bool:
        """Whether the message has the key if the request had it: a decoded one has those of the
        service and the tags, and none of the others that are the same for every service."""
        lower = key.lower()
        if self.principal.endswith(".amazonaws.com") and lower.startswith("aws:principalorg"):
            return True  # no service is a member of an organization
        return self.every_key and (not lower.startswith("aws:") or lower.startswith(_TAGS))


@dataclass(frozen=True)
class Read:
    """What a text held: the different refusals, encoded ones, and how many could not be read."""

    refusals: tuple[Refusal, ...]
    encoded: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    """The words before the encoded ones, which may tell the call."""
    identities: tuple[str, ...] = ()
    """The ARNs of users, roles and sessions that are read neither as a caller nor as what was
    asked for."""
    callers: tuple[str, ...] = ()
    """Those whom a sentence names that tells no action, nor do the words around it."""
    cut: str = ""
    """The caller, or its beginning, of a sentence that the end of the text cuts there."""
    place: Place = NOWHERE
    """What the whole text tells of the place that was asked."""
    asked: tuple[str, ...] = ()
    """The roles that a command in the text asks for."""
    of_github: bool = False
    """Whether the text has a job that signs in with GitHub's own token."""


def read(text: str) -> Read:
    """Find every denial in a text as it stands in a log; equal ones once, in their order."""
    place = place_told(text)
    trail, text = events.taken_out(_cleaned(_without_title(text)))
    answers, text = decoded.taken_out(text)
    plain = decoded.brought_near(_plain(text))
    refusals: dict[tuple[Any, ...], Refusal] = {}
    spans: list[tuple[int, int]] = []
    since = 0  # what is told before it belongs to the denials before
    for found in _SENTENCE.finditer(plain):
        refusal, since = _refusal(found, plain, since)
        key = (refusal.principal, refusal.action, refusal.resource, refusal.layer)
        spans.append(found.span())
        if not (found.end() == len(plain) and _begun(refusal, refusals.values())):
            # Of a role's sessions the same policies decide.
            same = (_SESSION_OF.sub(r"\1", key[0]), *key[1:])
            refusals.setdefault(tuple(one and _HIDES.sub("xxx", one) for one in same), refusal)
    callers = []
    for found in _NO_ACTION.finditer(plain):
        if by_call := _by_its_call(found, plain):
            refusals.setdefault((by_call.principal, by_call.action, by_call.resource), by_call)
            spans.append(found.span())
        else:
            callers.append(_who(found))
    # EC2 puts the sentence before it, whose refusal is marked as having it.
    alone = [
        one for one in decoded.ENCODED.finditer(plain)
        if not any(0 <= one.start() - end < 200 for _, end in spans)
    ]  # fmt: skip
    before = {one: plain[_begin(plain, one.start()) : one.start()].strip() for one in alone}
    told_of = {one.action for one in refusals.values()} | {spelled(one.action) for one in answers}
    found_bare = dict(_bare(plain, spans, tuple(dict.fromkeys(one[1] for one in alone))))
    bare = _without_talk(found_bare, told_of, alone=not (refusals or alone or answers))
    left = tuple(_left_out(text, bare, told_of))
    # Beside these, talk that tells nothing is none.
    bare = tuple(one for one in bare if not (left and found_bare[one] and not cause(one))) + left
    bare = _without_their_calls(bare, refusals.values())
    for answer in answers:
        mine = [one for one in alone if answer.answers and one[1].startswith(answer.answers)]
        call = next(filter(None, (calls.called(before[one]) for one in mine)), None)
        _answered(answer, refusals, call.operation if call else "")
        alone = [one for one in alone if one not in mine]
    for event in trail:
        _with_event(event, refusals)
    encoded = tuple(dict.fromkeys(one[1] for one in alone))
    beside = tuple(dict.fromkeys(before[one] for one in alone))
    if not (refusals or encoded or any(map(cause, bare))) and (
        words := named.of_text(plain)
        or (None if bare else named.refusal(plain))
        or (" ".join(text.split()) if decoded.cut_before_its_action(text) else None)
    ):
        bare = (words,)
    bare = tuple(_with_its_code(words, text) for words in bare)
    identities = tuple(dict.fromkeys(one[0].rstrip(".") for one in _IDENTITY.finditer(plain)))
    named_alone = tuple(dict.fromkeys(callers))
    cut = _CUT.search(plain)
    told_refusals = tuple(refusals.values())
    if named.is_late(text):
        told_refusals = tuple(map(_perhaps_late, told_refusals))
    return Read(
        told_refusals,
        encoded,
        bare,
        beside,
        identities,
        named_alone,
        cut[1] if cut else "",
        place,
        named.roles_asked(text),
        named.is_of_github(text),
    )


def _with_its_code(words: str, text: str) -> str:
    """The words with the call that the text's code makes, where they tell none themselves."""
    told = cause(words)
    if told not in (None, of_service_alone(words), of_a_queue(words)) or calls.called(words):
        return words
    call = "" if by_name.actions(words) else named.call_in_code(text, words)
    return f"{words} \u2026 {call}(" if call else words


def _perhaps_late(refusal: Refusal) -> Refusal:
    """With what a right that was only just written leads to; a Deny needs none."""
    if refusal.explicit:
        return refusal
    return replace(refusal, also=". ".join(filter(None, (refusal.also, named.LATE))))


def _without_title(text: str) -> str:
    """A page without its title, where that tells nothing and the rest has a denial."""
    title, _, rest = text.lstrip().partition("\n")
    stands_alone = title.startswith("# ") and not rest.partition("\n")[0].strip()
    if not stands_alone or not (_BARE.search(rest) or _SENTENCE.search(rest)):
        return text
    words = title.removeprefix("# ")
    told = cause(words)
    nothing = (None, of_s3_alone(words), of_ec2_alone(words), of_service_alone(words))
    return rest if told in nothing and not _SENTENCE.search(words) else text


def _with_event(event: events.Event, refusals: dict[tuple[Any, ...], Refusal]) -> None:
    """Add what an event's fields tell to the refusals that its message or its fields told."""
    who = event.principal.rpartition(":")[2]
    for place, one in refusals.items():
        if one.principal.rpartition(":")[2] != who or (
            not event.says and one.action.lower() != event.action.lower()
        ):
            continue
        refusals[place] = replace(
            one,
            keys=event.keys | dict(one.keys),
            operation=one.operation or event.fields["eventname"],
            request_id=one.request_id or event.fields.get("requestid", ""),
            also=one.also if event.says else events.BY_ITS_CALL,
        )


def _answered(
    answer: decoded.Decoded, refusals: dict[tuple[Any, ...], Refusal], operation: str
) -> None:
    """Add what was decoded to the refusals; to the one whose encoded part it was."""
    found = _SENTENCE.search(_plain(str(answer)))
    told = _refusal(found, found.string, 0)[0] if found else (
        Refusal(answer.principal, spelled(answer.action), answer.resource or None)
    )  # fmt: skip
    key: tuple[Any, ...] = (told.principal, told.action, told.resource, answer.start)
    for place, other in refusals.items():
        if other.encoded and place[:2] == key[:2] and other.resource in (None, told.resource):
            key, told = place, replace(other, resource=told.resource, encoded=False)
    matched = f"the decoded message has the statement that matched: {answer.matched}"
    refusals[key] = replace(
        told,
        explicit=told.explicit or bool(answer.explicit),
        operation=told.operation or operation,
        keys={**told.keys, **answer.keys},
        every_key=answer.whole,
        lacks=answer.lacks,
        also=matched if answer.matched else told.also,
    )


def _begin(plain: str, start: int) -> int:
    begins = calls.begin(plain, start, 0)
    return max(0, start - 420) if begins is None else begins


def _cleaned(text: str) -> str:
    text = _FRAME.sub("", _STAMP.sub("", events.named(_ANSI.sub("", unescaped(text)))))
    text = re.sub(r'\\+"', '"', text)  # JSON in JSON escapes a quote twice
    return _NO_BLANK.sub(r"\1: ", text)


def _plain(text: str) -> str:
    # SES quotes caller, action and resource.
    text = unbroken(_QUOTED.sub(r"\1", text))
    text = _WRAPPED.sub(_mended, _HYPHEN.sub(r"\1", text))
    # Whoever quotes wrapped lines leaves the quote's sign between words.
    text = _BOLD.sub("", " ".join(text.split())).replace(" > ", " ")
    text = re.sub(r"(?<=to perform: )([\w-]+);:\s?", r"\1:", _COLON.sub("", text))  # AWS's page
    text = _ACCESS_LOG.sub(_logged, text)
    text = _NESTED.sub(r"\1: \2", _NESTED.sub(r"\1: \2", text))
    text = _PLACEHOLDER.sub(lambda found: found[0].replace(" ", "_"), text)
    while (joined := _IN_A_NAME.sub(_one_word, text)) != text:
        text = joined
    hidden: dict[str, str] = {}
    text = _RUN_ON.sub(r"\1:", _DOTS.sub(rf"\1:{MASK}:", text))
    text = _SHORT.sub(rf"\1arn:aws:iam::{MASK}:", text)
    # Beside a caller that is whole nobody took an account out.
    left_out = _WITHIN if _WHOLE_CALLER.search(text) else _LEFT_OUT
    text = left_out.sub(rf"\1:{MASK}:", _NOWHERE.sub(_placed, text))
    text = _SESSION.sub(r"\1sts\2", _CROSSED_OUT.sub(rf"\1{MASK}", text))
    text = _SPACED.sub(r"\1\2", _QUOTES.sub(r"\1\2", text))
    text = _GLUED.sub(r"\1 ", _TWO_WORDS.sub(r"\1…", text))
    text = _BLANK.sub(_of_one_word, _APART.sub(r"\1", text))
    text = _PREFIX_ALONE.sub(r"\1\g<call>", _PARTED.sub(r"\1\2", text))
    text = _ARN.sub(lambda arn: _masked(arn, hidden), text)
    return _NO_END.sub(r"\g<0> ", _BROKEN.sub(_joined, text))


def _placed(arn: re.Match[str]) -> str:
    """The beginning of an ARN with masks for its place, where its service's have one."""
    none = arn["service"] in _PLACELESS or arn["service"] in placeless()
    return arn[0] if none else f"{arn[1]}:{MASK}:{MASK}:"


def _masked(arn: re.Match[str], hidden: dict[str, str]) -> str:
    """The beginning of an ARN, with a mask for what is no region and no account; with another one
    for an account that goes by a name of its own, like <target account> beside <source account>."""
    if "${AWS::" in arn[0]:  # what a template left as it was hides nothing
        return arn[0]
    if arn.string.startswith("transform/", arn.end()) and re.search(r":[a-z]+:$", arn[3]):
        return arn[0]  # a word of AWS's stands there, and a misspelt one tells
    region = arn[2] if _REGION.fullmatch(arn[2]) else MASK

    def mask(found: re.Match[str]) -> str:
        name = _RUN.sub(r"\1", found[0].lower())
        if _ANOTHER.search(found[0].lower()):
            return OTHER if hidden else hidden.setdefault("another", MASK)
        if _DIGITS.fullmatch(found[0]):
            # Digits that differ in one place are two accounts'; else it may be one.
            first = hidden.setdefault("number", found[0])
            if any(one != two for one, two in _digits(first, found[0])):
                return OTHER
        if _DIGITS.fullmatch(found[0]) or _MERELY.fullmatch(name):
            return OTHER if "another" in hidden else MASK
        return hidden.setdefault(name, MASK if not hidden else OTHER)

    return arn[1] + region + _HIDDEN.sub(mask, arn[3])


def _digits(first: str, second: str) -> Iterator[tuple[str, str]]:
    """The digits of two masked numbers that stand in the same place, where that is known."""
    whole = len(first) == len(second)
    for one, two in zip(first, second, strict=False):
        if one.isdigit() and two.isdigit():
            yield one, two
        elif not whole:
            return  # how many digits were left out is not told


def _logged(found: re.Match[str]) -> str:
    """A line of S3's access log as AWS's own sentence."""
    action = _LOGGED.get(found["operation"])
    if action is None:
        return found[0]
    who = "anonymous" if found["who"] == "-" else found["who"]
    key = "" if action.endswith(("Bucket", "Location")) else f"/{found['key']}"
    return (
        f"RequestId: {found['id']} User: {who} is not authorized to perform: s3:{action} on "
        f"resource: arn:aws:s3:::{found['bucket']}{key} "
    )


def _one_word(found: re.Match[str]) -> str:
    """An ARN with one word in the place of a placeholder of several."""
    words = next(filter(None, found.groups()[1:]))
    return f"{found[1]}<{words.replace(' ', '_')}>"


def _of_one_word(found: re.Match[str]) -> str:
    """The kind of a resource without the blank in it: as AWS's reference has it, or unknown."""
    letters = found["kind"].replace(" ", "").rstrip("s")
    kinds = {one.split(":", 5)[5].partition("/")[0] for one in resources(found["action"])}
    same = [one for one in kinds if one.replace("-", "").rstrip("s") == letters]
    return found["before"] + (same[0] if same else found["kind"].replace(" ", "…"))


def _joined(found: re.Match[str]) -> str:
    """An action that a terminal broke in the middle, where AWS's reference has the whole one."""
    whole = found["begun"] + found["rest"]
    return whole if unknown(found["begun"]) and judged(whole) else found[0]


def _mended(found: re.Match[str]) -> str:
    """An ARN that a line's end breaks, where AWS's reference has the whole one."""
    goes_on = not begins_anew(found["rest"])
    whole = goes_on and makes_whole(found["action"], found["begun"], found["rest"])
    return f"{found['before']}{found['begun']}{found['rest']}" if whole else found[0]


def _refusal(found: re.Match[str], plain: str, since: int) -> tuple[Refusal, int]:
    """A denial, and the place up to which the text is about it."""
    before = plain[max(since, found.start() - 500) : found.start()]
    until = found.end()
    requests = _REQUEST.findall(before)
    if not requests and (behind := _BEHIND.search(plain, until, until + 300)):
        requests, until = [behind[1]], behind.end()
    called = _called(plain, before, found.end())
    account = found["principal"].split(":")[4] if ":" in found["principal"] else ""
    # A call may need a second action, and AWS names that one behind "allows the".
    lacking = _ACTION.fullmatch(found["lacking"] or "") or found
    service, _, name = lacking["action"].partition(":")
    principal, keys = found["principal"], {}
    if ":cloudwatch:" in principal:
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
        keys = {"aws:SourceArn": (principal,), "aws:SourceAccount": (account,)}
        principal = "cloudwatch.amazonaws.com"
    topic = _TOPIC.search(before) if principal.endswith(":root") else None
    if topic:
        # https://docs.aws.amazon.com/sns/latest/dg/sns-topic-attributes.html
        # A topic's log names the root user of its account where SNS itself asked.
        principal, keys = "sns.amazonaws.com", {"aws:SourceArn": (topic["topic"],)}
        keys["aws:SourceAccount"] = (account,)
    layer = found["through"] or found["missing"] or found["deny"] or ""
    asked = found["resource"] or (None if found["unnamed"] else _before(found, plain, since))
    if found.end() == len(plain) and asked:
        whole = _before(found, plain, since) or ""
        asked = whole if whole.startswith(asked) else asked
    if asked and _ALL_OF_EC2.fullmatch(asked):
        # What a call of EC2 makes is its caller's: the other number is another mask.
        asked = asked.replace(f":{OTHER}:", f":{account}:")
    if _ERROR.match(plain, found.end()):
        asked = asked and asked.removesuffix(":")
    refusal = Refusal(
        principal,
        spelled(f"{service.lower()}:{name}"),
        _shown(found["quoted"] or as_arn(asked, account) or None),
        BLOCKED if found["setting"] else layer.replace("sessions", "session"),
        explicit=found["explicit"] is not None,
        policy=found["setting"] or (found["policy"] and found["policy"].rstrip(".,;)")),
        keys=keys,
        unnamed=found["unnamed"] is not None,
        asked=called[0],
        request_id=requests[-1] if requests else "",
        operation=called[1],
        encoded=_BESIDE.match(plain, found.end()) is not None,
        lacks=plain.startswith(" because no", found.end()),  # the kind of policy is cut
    )
    return refusal, until


def _begun(refusal: Refusal, before: Iterable[Refusal]) -> bool:
    """Whether a sentence that the end of the text cuts begins as one before it."""
    return any(
        (one.principal, one.action) == (refusal.principal, refusal.action)
        and (one.resource or "").startswith(refusal.resource or "")
        for one in before
    )


def _before(found: re.Match[str], plain: str, since: int) -> str | None:
    """The resource that a tool names before a sentence which names none."""
    begins = calls.begin(plain, found.start(), since)
    told = "" if begins is None else plain[begins : found.start()]
    return None if found["quoted"] else calls.on(found["action"], told)


def _called(plain: str, before: str, end: int) -> tuple[str, str]:
    """The service and the call that were refused, where the words around the sentence tell them."""
    service = call = ""
    if operations := _OPERATION.findall(before):
        service, call = operations[-1][0], operations[-1][1] or operations[-1][2]
    if api := _API.search(before):
        service, call = api["service"], api["call"] or ""
    told = _SERVICE.match(plain, end)
    return told[1] if told else service, call


def _by_its_call(found: re.Match[str], plain: str) -> Refusal | None:
    """A denial that tells its caller, of the call that is named around it; None if none is."""
    begins = calls.begin(plain, found.start(), 0)
    if begins is None:
        calling = plain.rfind("calling the ", max(0, found.start() - 160), found.start())
        begins = found.start() if calling < 0 else calling
    words = plain[begins : found.end() + 260]
    action, zone = calls.action_called(words), _ZONE.search(words)
    if not action:
        return None
    of_zone = zone is not None and action.startswith("route53:")
    resource = f"arn:aws:route53:::hostedzone/{zone[1]}" if of_zone and zone else None
    requests = _REQUEST.findall(words)
    return Refusal(_who(found), action, resource, request_id=requests[-1] if requests else "")


def _who(found: re.Match[str]) -> str:
    return str(found["principal"] or found["begun"])


def _shown(resource: str | None) -> str | None:
    """A resource with a word for the stars that hide a name: no policy is to have them."""
    if resource is None or not resource.startswith("arn:"):
        return resource
    *start, name = resource.split(":", 5)
    return ":".join((*start, re.sub(r"(?<=/)\*{2,}$", HIDDEN, name)))


def as_arn(resource: str | None, account: str) -> str | None:
    """A resource as a message names it: IAM's by kind and name, without what ends a sentence."""
    if resource is None:
        return None
    resource = re.sub(
        r"(?:</\w+>|\[[A-Z]{4,8}\]).*", "", re.sub(r"\(?\.{3}[)`'.,;\u2013\u2014]*$", "…", resource)
    )
    ends = ".,;)'`" + "]" * ("[" not in resource)  # a log stream of Lambda's has both
    resource = resource.rstrip(ends)
    kind, _, name = resource.rpartition(" ")
    if resource.startswith("arn:"):
        return resource
    if not kind or name.startswith("arn:"):
        return name
    if kind == "policy path":
        return f"arn:aws:iam::{account}:policy{name}"
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/using-service-linked-roles.html
    linked = "aws-service-role/*/" * (kind == "role" and name.startswith("AWSServiceRoleFor"))
    # https://docs.aws.amazon.com/singlesignon/latest/userguide/referencingpermissionsets.html
    if kind == "role" and name.startswith("AWSReservedSSO_"):
        linked = "aws-reserved/sso.amazonaws.com/*"  # the region follows, unless it is us-east-1
    return f"arn:aws:iam::{account}:{kind.replace(' ', '-')}/{linked}{name}"


def _bare(
    plain: str, spans: list[tuple[int, int]], encoded: tuple[str, ...]
) -> Iterator[tuple[str, bool]]:
    """Denials that name no caller or no action, each with the words around it, and whether those
    only speak about one."""
    seen: set[str] = set()
    told_before: set[str | None] = set()
    apis: set[str] = set()
    until = ends = last = 0
    spans = sorted(spans)
    places = [*_BARE.finditer(plain)]
    for found, further in zip_longest(places, places[1:]):
        # AWS's own sentence goes on with "(Service: ...; Error Code: AccessDenied; ...)".
        # SDKs print the code behind their stack, as a field of its own.
        field = _FIELD.search(plain, max(0, found.start() - 20), found.start())
        more = 3000 if field and field[1] else 300 if field else 0
        # A sentence on another action than those around it is a denial of its own.
        own = _TELLS.match(plain, found.start())
        # The spans are in their order and do not overlap: only some can be near.
        first = bisect_left(spans, (found.start() - more,), key=lambda one: one[1:]) - 1
        near = any(
            (
                start - 500 < found.start() < end + more
                and (not own or own[1] in plain[start:end])
                and not _OVER.search(plain, found.start(), start)
            )
            or (found.start() > end and _CODE.fullmatch(plain, end, found.start()))
            for start, end in spans[max(0, first) : bisect_left(spans, (found.start() + 500,))]
        )
        quoted = own and not _GOES_ON_WITH.match(plain, own.end()) and any(
            own[1] in plain[start:end] for start, end in spans
        )  # fmt: skip
        if (
            near
            or quoted
            or any(one in plain[found.end() : found.end() + 300 + len(one)] for one in encoded)
        ):
            continue
        # What stands in a sentence before is no part of these words.
        told_first = bisect_left(spans, (found.start() + 1,), key=lambda one: one[1:])
        since = max(last, spans[told_first - 1][1] if told_first else 0)
        begins = calls.begin(plain, found.start(), since)
        behind = further and calls.begin(plain, further.start(), found.end())
        talk = _TALK.match(plain, found.start()) is not None
        # What is said about a denial is no part of the one that it is said about.
        until_next = further.start() if talk and further else len(plain)
        end = min(found.end() + 260, behind or until_next)
        start = max(since, found.start() - 60) if begins is None else begins
        words = _around(plain, start, end, found)
        delivery = [*_TOPIC.finditer(plain, max(0, found.start() - 1200), found.start())]
        if delivery and not _RECORD_ENDS.search(plain, delivery[-1].end(), found.start()):
            topic, to = delivery[-1]["topic"], delivery[-1]["to"] or "what subscribes"
            words = f"{services.delivery(topic, to)}: {words}"
        # A stack names the call, however long it is.
        if not calls.called(words) and (
            frame := calls.frame(plain, found.end(), found.end() + _STACK)
        ):
            words = f"{words} … {frame}"
        wide = plain[
            max(since, found.start() - 420) : min(end, further.start() if further else end)
        ]
        if _tells_more(wide, words):
            words = wide
        if _OF_STATE.search(words) and _DEBUG.search(plain):
            until = last = found.end()
            continue  # Terraform's log has the call itself
        # Of CloudFormation each resource that failed tells its own call.
        new = found[0] not in apis if found[0].startswith("API: ") else not any(
            found[0] in one for one in seen
        )  # fmt: skip
        call = by_name.action(words)
        call = call and f"{call} on {calls.on(call, words)}"
        if call and call in apis:
            continue  # the same call again
        told = cause(words)
        if (
            told
            and told == named.cause(words)
            and all(any(one in before for before in seen) for one in named.actions(words))
        ):
            continue  # what the words before it told already
        less = (of_s3_alone(words), of_ec2_alone(words), of_service_alone(words))
        again = _told_before(plain, words, found.start())
        if (not told and again) or (told and told in less and (found.start() < ends or again)):
            continue  # the rest of what was answered
        if new or (found.start() >= until and told and told not in told_before):
            seen.add(f"{words} {plain[found.start() : found.end() + 260]}")
            told_before.add(told)
            apis |= {found[0], call}
            until, ends, last = found.end() + 60, found.end() + 260, found.end()
            # Of the only one, of which nothing is known, more is quoted.
            if not (told or further or len(seen) > 1):
                words = _around(plain, found.start() - 420, end, found)
            yield words, talk


def _without_talk(bare: dict[str, bool], told_of: set[str], *, alone: bool) -> tuple[str, ...]:
    """The denials without what is only said about them, which tells of nothing else."""
    # What only names beside a mention fit is nobody's denial.
    bare = {words: talk for words, talk in bare.items()
            if alone or not talk or cause(words) != by_name.cause(words)}  # fmt: skip
    errors = [words for words, talk in bare.items() if not talk]
    if alone and not errors:
        return tuple(filter(cause, bare)) or tuple(bare)
    told = told_of.union(*(_NAMED.findall(str(cause(words))) for words in errors))
    return tuple(
        words for words, talk in bare.items()
        if not talk or not told.issuperset(_NAMED.findall(str(cause(words))))
    )  # fmt: skip


def _without_their_calls(bare: tuple[str, ...], others: Iterable[Refusal]) -> tuple[str, ...]:
    """The denials without those of a call alone, where another tells what that call lacked."""
    sentences = [one for one in bare if of_sentence(one)]
    lacked = {one.operation for one in others} | {
        call.operation for one in sentences if (call := calls.called(one))
    }
    return tuple(
        one for one in bare
        if one in sentences or _called_alone(one) not in lacked - {""}
    )  # fmt: skip


def _called_alone(words: str) -> str:
    """The call whose action is all that the words tell; "" if they tell more, or less."""
    action = by_name.action(words)
    alone = {*_NAMED.findall(str(cause(words)))} - {"iam:PassRole"} == {action}
    return action.partition(":")[2] if alone else ""


def _left_out(text: str, bare: tuple[str, ...], actions: set[str]) -> Iterator[str]:
    """Denials whose words tell an action, or no more than a service, that nothing told so far is
    about: one is no part of what stands beside it only because that is near."""
    causes = [str(cause(one)) for one in bare]
    before = " ".join([*causes, *actions])
    named_before, of_before = set(_NAMED.findall(before)), _of_services(before)
    # Those that differ in a number alone, as of a time, tell the same action.
    parts = {_NUMBERS.sub("0", one): one for one in _parts(text)}
    for plain in map(_plain, parts.values() if len(parts) > 1 else ()):
        if any(one.search(plain) for one in (_SENTENCE, _SENTENCE_BEGINS, decoded.ENCODED)):
            continue
        for words, talk in _bare(plain, [], ()):
            told = cause(words)
            if told is None or told in causes or (talk and not _NAMED.search(told)):
                continue
            first = _NAMED.search(told)
            if told in (of_s3_alone(words), of_ec2_alone(words), of_service_alone(words)):
                if _of_services(told) & of_before:
                    continue
            elif first and first[0] in named_before:
                continue
            causes.append(told)
            named_before.update(_NAMED.findall(told))
            of_before |= _of_services(told)
            yield words


def _parts(text: str) -> Iterator[str]:
    """The parts of a text that hold a refusal each, with the lines of an error's before it."""
    part, refuses = "", False
    for line in text.splitlines(keepends=True):
        refused = bool(_BARE.search(line) or _SENTENCE.search(line))
        goes_on = part.rstrip().endswith(" operation:")  # in the next line
        if refuses and (begins_error(line) or (refused and not goes_on)):
            yield part
            part, refuses = "", False
        part, refuses = part + line, refuses or refused
    yield part


def _of_services(told: str) -> set[str]:
    """The services, by the prefix of their actions, that what is told may be about."""
    names = {one.partition(":")[0] for one in _NAMED.findall(told)}
    names |= {name.lower() for name in _ALONE.findall(told)}
    return names | ({"s3"} if "kms" in names else set())  # S3 hands on what KMS refuses


def _tells_more(wide: str, words: str) -> bool:
    """Whether more of a text tells the call or the place where less of it does not."""
    if calls.called(words) or by_name.actions(words) or services.cause(words):
        return False
    more = _names_place(of_s3_alone(wide)) and not _names_place(of_s3_alone(words))
    return more or bool(by_name.action(wide) or operation_of_s3(wide))


def _names_place(told: str | None) -> bool:
    return told is not None and " call on arn:" in told


def _told_before(plain: str, words: str, start: int) -> bool:
    """Whether the request that the words name was told of before."""
    requests = _REQUEST.findall(words)
    return bool(requests) and all(0 <= plain.find(one) < start for one in requests)


def _around(plain: str, start: int, end: int, found: re.Match[str]) -> str:
    """The text from one place to another with what was found, without the words that they cut."""
    before, after = plain[max(0, start) : found.start()], plain[found.end() : end]
    if start > 0 and not plain[start - 1].isspace():
        before = before.partition(" ")[2]
    if end < len(plain) and not plain[end].isspace():
        after = after.rpartition(" ")[0]
    return f"{before}{found[0]}{after}".strip()
