"""What a denial tells that names no caller, or no caller by its ARN."""

from __future__ import annotations

import re
from functools import lru_cache

from scripts.iam.denial.reading import by_name, decoded, elsewhere, named, s3, services
from scripts.iam.denial.reading.calls import Call, action_called, action_of, called, on
from scripts.iam.denial.reading.s3 import of_s3_alone, operation_of_s3
from scripts.iam.reference import only_star

_ACTION = r"['\"]?(?P<action>[\w-]+:\w+)(?!\w|…|\.{3})"
# EKS and others, which look for a right before they use it; CloudFormation; AWS's own sentence.
_TOLD = (
    re.compile(rf"because no (?P<layer>[\w -]+?) allows the {_ACTION}"),
    re.compile(rf"missing permissions? (?:for|to) {_ACTION}"),
    re.compile(rf"(?:don't|do not) have the {_ACTION} permission"),
    re.compile(rf"API: {_ACTION} You are not authorized"),
    re.compile(rf"(?:permission|(?:not |un)authorized) to (?:call|perform the) {_ACTION}"),
    re.compile(rf"(?:\b(?:is|are) )?not authorized to perform:? {_ACTION}"),
)
# Hadoop tells the operation of its own, on a URL.
_S3A = re.compile(
    r"getFileStatus on s3[an]?://(?P<bucket>[^/:\s]+)/?(?P<key>[^\s:]*): "
    r".*?(?:Forbidden|Access Denied|Status Code: 403)"
)
# https://docs.aws.amazon.com/sns/latest/dg/subscribe-sqs-queue-to-sns-topic.html
_QUEUE = re.compile(
    r"Access to the resource https://(?:sqs\.(?P<region>[\w-]+)|(?P<old>[\w-]+)\.queue)"
    r"\.amazonaws\.com/(?:(?P<account>[^/\s]+)/(?P<name>[\w.-]+))? is denied"
)
_UNFILLED = re.compile(
    r"(?:key|bucket|role|name|arn|queue|topic|table|function|resource)\W{1,4}(None|null|undefined)\b"
    r"(?! \()",
    re.IGNORECASE,
)
_CUT_QUEUE = re.compile(r"AccessDenied: Access to the resource(?! http)")
_ROLE = re.compile(r"[Nn]ot authorized to perform:? sts:(AssumeRole(?:WithSAML)?)(?!\w)(?! on )")
_OPERATION = re.compile(r"calling the (\w+) operation")
_DENIED = re.compile(r"with an explicit deny(?: in (an? [\w -]+(?:: arn:[\w:/+=,.@-]+)?))?")
# Behind an action, where whoever reports it left words out.
_LACKS = re.compile(r"no (?P<layer>[\w-]+(?: [\w-]+)? policy|permissions boundary) allows")
# A name in the place of the caller's ARN: no word of the sentence's, such as User.
_CALLED_SO = re.compile(
    r"(?:(?<![\w/:.-])['\"`]?"
    r"((?=\w*[A-Z]\w*[A-Z]\w*[a-z]|\w*[a-z]\w*[A-Z]|[\w.@]*[-_@]\w)[A-Za-z][\w.@-]{2,63}\w)"
    r"|\b(?:[Uu]ser|[Rr]ole):? ['\"`]?(?!arn:|is )(\w[\w.@+=,-]{1,63}))['\"`]?"
    r" (?:(?:is|was) )?not authorized to perform"
)
_ACCOUNT = re.compile(r"with account ?id:? (\d{12})", re.IGNORECASE)
_S3 = re.compile(r"\b[Ss]3\b|GetObject|\bs3[an]?:")
_KEY_REFUSED = "Access to KMS is not allowed"
# What asked KMS in the caller's name -> where it tells the key.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/secure-string-parameter-kms-encryption.html
_OF_PARAMETER = (
    "SSM asked KMS in the caller's name for the parameter's key: aws ssm describe-parameters names "
    "it (KeyId), and a right of SSM alone is not enough"
)
_KEY_OF = {
    "": "Of an object of S3 whoever may read it is told the key (aws s3api head-object: "
    "SSEKMSKeyId), and a right of S3 alone is not enough",
    "GetParameter": _OF_PARAMETER,
    "GetParameters": _OF_PARAMETER,
    "GetParametersByPath": _OF_PARAMETER,
}
CIPHERTEXT = "The ciphertext refers to a customer master key that does not exist"
_CIPHERTEXT = "ciphertext references a key that either does not exist or you do not have access"
# Greengrass writes null where an action should stand.
_NO_ACTION = re.compile(r"not authorized to perform:? null\b")
_HIDDEN_ACTION = re.compile(
    r"(?:User: (?P<who>arn:\S+) )?is not authorized to perform:? (?P<service>[a-z][\w-]*):"
    r"(?P<action><[^<>]*>|\{[^{}]*\}|\[[^\[\]]*\]|\*{3,}|\.{3})"
)
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
PAM = re.compile(r"PAM authentication failed for user ['\"]?(?P<user>[^\s'\"\\,;)]+)")
# https://docs.aws.amazon.com/lambda/latest/dg/permissions-layer-cross-account.html
LAYERS = (
    ". A layer of another account lets nobody in by itself: its owner has to, for each version "
    "(aws lambda add-layer-version-permission), and the caller's own policies have to allow it, too"
)
# https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccounts.html
OF_ORGANIZATIONS = (
    "Organizations answers the organization's management account and its delegated administrators "
    "alone (aws organizations describe-organization tells the first): in any other account no "
    "policy of the caller's lifts the refusal"
)
_FOR_ANY_ACCOUNT = re.compile(
    r"(?:Describe(?:Organization|Handshake|EffectivePolicy)|LeaveOrganization|AcceptHandshake"
    r"|DeclineHandshake|ListHandshakesForAccount|CreateOrganization)$"
)
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
_OF_A_ROLE = (
    " (the one role that is handed on, never *), limited by iam:PassedToService to the service "
    "that takes it"
)
_SETS_TAGS = re.compile(r"[\w-]+:(?:Tag[A-Z]|AddTags?|CreateTags)")
# https://docs.aws.amazon.com/kms/latest/developerguide/tag-permissions.html
# https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html
_OF_THE_NEW = (
    " (of what is made with its tags, which has no ARN yet, with * in place of the name: there "
    "aws:RequestTag can limit it, and a condition on aws:ResourceTag is never met)"
)
# As they stand in a log; the words around them are searched for the rest.
SENTENCES = (
    rf"{PAM.pattern.replace('(?P<user>', '(?:')}|"
    r"Access to the resource https://\S+ is denied|"
    rf"missing permissions? (?:for|to) ['\"]?[\w-]+:\w+|{_KEY_REFUSED}|"
    rf"(?:don't|do not) have the [\w-]+:\w+ permission|{CIPHERTEXT}|"
    rf"{re.sub(r'[(][?]P<[a-z]+>', '(?:', _HIDDEN_ACTION.pattern)}|"
    r"API: [\w-]+:\w+ You are not authorized|not authorized to perform this operation|"
    r"(?:permission|(?:not |un)authorized) to (?:call|perform the) ['\"]?[\w-]+:\w+|"
    rf"{s3.SENTENCES}"
)


@lru_cache(64)  # a log repeats its words
def cause(words: str) -> str | None:
    """What was refused, by the words around it; None if they do not say."""
    told, stack = _cause(words), services.of_a_stack(words)
    if told and (unfilled := _UNFILLED.search(words)):
        told += (
            f". {unfilled[1]} stands where a name belongs: if the request had it so, it is a value "
            "that nobody filled in, and the request is to be put right first"
        )
    if told and ("S3" in told or "s3:" in told) and (store := s3.another_store(words)):
        told += (
            f". The text names {store}: if the request went to that store, its own keys and "
            "policies decide, and none of AWS's"
        )
    return f"{told}. {stack}" if told and stack else told


def _cause(words: str) -> str | None:
    if told := (elsewhere.meaning(words) or _of_what_is_not_named(words) or services.cause(words)):
        return told
    if of_role := _ROLE.search(words):
        return (
            f"STS refused sts:{of_role[1]} and names neither caller nor role"
            + (
                ": the caller's own policies have to allow it on the role, and the role's trust "
                "policy has to let the caller in; in one account a trust policy that names the "
                "caller's role or user is enough"
                if of_role[1] == "AssumeRole"
                else ": the role's trust policy decides, by the provider that it names (Federated) "
                "and by what it wants of the assertion (SAML:aud)"
            )
            + ". Of a role that is not there STS says the same"
        )
    if of_database := PAM.search(words):
        user = of_database["user"]
        return (
            f"RDS did not take what {user} signed in with, and does not say why. A user with the "
            "role rds_iam signs in with a token of IAM's alone, and no password. The token counts "
            "for 15 minutes, for the host, port and user that it was made for, over TLS and while "
            "the credentials last that made it: make one for each connection. Who made it needs "
            "rds-db:connect on arn:aws:rds-db:REGION:ACCOUNT:dbuser:RESOURCE_ID/"
            f"{user}, RESOURCE_ID being the instance's DbiResourceId (db-...) or the cluster's "
            "DbClusterResourceId (cluster-...), and no policy of the organization's against it"
        )
    if told := of_a_queue(words):
        return told
    if of_hadoop := _S3A.search(words):
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        bucket, key = of_hadoop["bucket"], of_hadoop["key"]
        return (
            f"Hadoop asked for what is known of an object (HEAD), which needs s3:GetObject on "
            f"arn:aws:s3:::{bucket}/{key or '*'}; of an object that is not there S3 says 403, too, "
            f"to whoever lacks s3:ListBucket on arn:aws:s3:::{bucket}, which Hadoop needs for its "
            "directories. Whether an Allow is lacking or a policy denies it is not told, nor are "
            "keys that are wrong: S3 gives no reason to a HEAD"
        )
    if of_s3 := operation_of_s3(words):
        return str(of_s3)
    return (
        of_sentence(words)
        or of_a_state(words)
        or _with_its_words(_of_its_call(words), words)
        or named.cause(words)
        or _with_its_words(by_name.cause(words), words)
        or of_s3_alone(words)
        or of_ec2_alone(words)
        or _of_a_cut_queue(words)
        or of_service_alone(words)
    )


def _of_a_cut_queue(words: str) -> str | None:
    """Of SQS's sentence, where what follows its beginning was cut off."""
    if not _CUT_QUEUE.search(words):
        return None
    return (
        "the words begin as SQS's sentence does (Access to the resource https://sqs... is denied) "
        "and break off: paste it whole, with the queue and the lines before it, which tell the call"
    )


# Where an SDK puts the service whose error it is.
_ITS_ERROR = re.compile(
    r"\(Service: \w|\bservices\.\w+\.model\.\w+Exception|\bAmazon\.\w+\.Amazon\w+Exception"
    r"|\bAws::\w+::Errors::"
)


def of_service_alone(words: str) -> str | None:
    """Of a service that is named where one that was asked stands."""
    asked = by_name.services(words)
    if len(asked) != 1 or not by_name.refuses(words):
        return None
    (service,) = asked
    unsaid = (
        "which call, who made it, on what, and whether an Allow is lacking or a policy denies it"
    )
    if _ITS_ERROR.search(words):
        return f"the service whose actions begin with {service}: refused; {unsaid}, is not told"
    return (
        "beside the refusal the words name the service whose actions begin with "
        f"{service}:; whether it was that one, {unsaid}, is not told"
    )


def _of_its_call(words: str) -> str | None:
    if action := action_called(words):
        if only_star(action):
            return (
                f"the call that was refused needs {action} on *, as it takes no resource; whether "
                "an Allow is lacking or a policy denies it is not told"
            )
        handed_on = by_name.handed_on(action)
        return (
            f"the call that was refused needs {action}, by its name; "
            f"whether an Allow is lacking or a policy denies it is not told{handed_on}"
            f"{named_by_an_allow(action)}"
        )
    call = called(words)
    several = by_name.of_several(call.operation) if call and not call.service else ()
    if call and several and by_name.refuses(words):
        return (
            f"the call that was refused is {call.operation}, and several services have one of that "
            f"name: it needs {', '.join(several)} or a further service's. Which, and whether an "
            "Allow is lacking or a policy denies it, is not told"
        )
    return None


# What a service says behind the code of a denial, and what of it tells nothing.
_SAYS = re.compile(
    r"(?:(?:AccessDenied|Unauthorized|Forbidden|NotAuthorized|OptInRequired)\w*['\")]*"
    r"|when calling the \w+ operation): (?P<says>(?!An error)[A-Z](?:[^.<{}\"]|\.(?=\w)){9,240}?)"
    r"(?=\.(?:\W|$)|\"|<|$| \{| status code| \(Service| Traceback|\\)"
)
_NOTHING = re.compile(
    r"User:|Access (?:is )?Denied$|Permission denied$|Access to the resource$"
    r"|You are not authorized(?: to perform this|$)|You do ?n[o']t have the perm|Forbidden|Unknown"
    r"|.*\bnot authorized to perform|status code",
    re.IGNORECASE,
)


# An ARN, a quoted word, a number, a name in capitals: what such words name.
_NAMES = re.compile(r"[:/'`\d]|(?<=\s)[A-Z]|\w[A-Z]")


def _said(words: str) -> str:
    """A service's own words behind the code, where they tell more than that."""
    said = next((one for one in _SAYS.finditer(words) if not _NOTHING.match(one["says"])), None)
    return said["says"] if said else ""


def _with_its_words(told: str | None, words: str) -> str | None:
    """What the name of a call tells, with the service's own words, which tell more."""
    said = _said(words)
    if told is None or not said:
        return told
    names = "; what it names there may be what lacks instead" * bool(_NAMES.search(said))
    return f'{told}. The service says: "{said}"{names}'


def of_a_state(words: str) -> str | None:
    """A code of a denial with words that are about no right, as of a service that is off."""
    said = _said(words)
    if not said or named.LACKS.search(said):
        return None
    return (
        f'the code is that of a denial, and the service says: "{said}". None of its words is one '
        "that is known here for a right: what they ask for comes first; whether a policy refuses "
        "besides is not told"
    )


def of_ec2_alone(words: str) -> str | None:
    """Of EC2, which alone has the code UnauthorizedOperation."""
    if not by_name.OF_EC2.search(words):
        return None
    return (
        "EC2 refused a call and names neither its caller nor an action: if anything tells the "
        "call, the lines around it do (its action is ec2:... of its name), and an encoded message, "
        "if there is one, tells all (aws sts decode-authorization-message). Whether an Allow is "
        "lacking or a policy denies it is not told"
    )


def of_sentence(words: str) -> str | None:
    """What a sentence tells that names the action; None if there is none."""
    found = next((one for pattern in _TOLD if (one := pattern.search(words))), None)
    if found is None:
        return None
    account, name = _ACCOUNT.search(words), _CALLED_SO.search(words)
    of_whom = f" of account {account[1]}" if account else ""
    if "layer" in found.re.groupindex:
        return f"no {found['layer']}{of_whom} allows {found['action']}{_what_to_do(found)}"
    of_whom += f" (the words call it {name[1] or name[2]})" if name else ""
    if denied := _DENIED.search(words, found.end()):
        where = denied[1] or "a policy, and AWS does not say whose"
        return (
            f"{found['action']} was denied to a caller{of_whom}, by a statement in {where}; no "
            "Allow lifts it"
        )
    if "missing" in found[0] or " have the " in found[0]:
        names = named_by_an_allow(found["action"])
        return f"the caller{of_whom} lacks {found['action']}{names}"
    if lacks := _LACKS.search(words, found.end(), found.end() + 150):
        return (
            f"{found['action']} was refused to a caller{of_whom}, as no {lacks['layer']} allows it"
            f"{named_by_an_allow(found['action'])}"
        )
    owner = LAYERS if found["action"] == "lambda:GetLayerVersion" else ""
    owner += f". {OF_ORGANIZATIONS}" * of_the_organization(found["action"])
    what = on(found["action"], words)
    names = f". An Allow of it names {what}" if what else named_by_an_allow(found["action"])
    return (
        f"{found['action']} was refused to a caller{of_whom}{f' on {what}' if what else ''}; "
        f"whether an Allow is lacking or a policy denies it is not told{owner}{names}"
    )


def _what_to_do(found: re.Match[str]) -> str:
    """Whose policy has to allow it, where a caller's own is lacking."""
    if found["layer"] != "identity-based policy":
        return ""
    if found["action"].lower() == "iam:createservicelinkedrole":
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/create-service-linked-role.html
        return (
            ": the caller's own policies have to allow it on that role, with iam:AWSServiceName "
            "for the service alone, or somebody who may makes the role once for the account (aws "
            "iam create-service-linked-role)"
        )
    return (
        ": the caller's own policies have to allow it on what was asked for"
        f"{named_by_an_allow(found['action'])}"
    )


def named_by_an_allow(action: str) -> str:
    """What a policy names that allows an action, by AWS's reference; "" if that is not known."""
    what = named.by_an_allow(action)
    more = _OF_THE_NEW * is_of_tags(action) + _OF_A_ROLE * (action.lower() == "iam:passrole")
    return f". An Allow of it names {what}{more}" if what else ""


def of_the_organization(action: str) -> bool:
    """Whether a member account's call of it is refused, whatever its policies say."""
    service, _, call = action.partition(":")
    return service == "organizations" and _FOR_ANY_ACCOUNT.match(call) is None


def is_of_tags(action: str) -> bool:
    """Whether the action sets tags."""
    return _SETS_TAGS.match(action) is not None and not only_star(action)


def of_no_action(words: str) -> str | None:
    """Of a service that names no action, or of somebody who hides it."""
    if hidden := _HIDDEN_ACTION.search(words):
        who = hidden["who"] or "a caller that is not named"
        return (
            f"the message hides the action, {hidden['service']}:{hidden['action']}, that was "
            f"refused to {who}: paste it with the action"
        ) + (
            ". Cognito gives guests (an identity without a login, in the enhanced flow) a session "
            "policy of its own, which allows a few services and actions alone, whatever their role "
            "allows: for others sign in first, or get the credentials by the basic flow"
        ) * ("CognitoIdentityCredentials" in who)
    if cut := decoded.cut_before_its_action(words):
        return cut
    if _NO_ACTION.search(words):
        called = _OPERATION.search(words)
        own = f" ({called[1]})" if called else ""
        return (
            f"the service wrote null in place of the action, and the caller "
            f"needs the call's own action{own}; where it has that, look at what the call names: "
            "Greengrass answers so to a function's ARN with an alias or $LATEST in place of a "
            "version's number"
        )
    return None


def _of_what_is_not_named(words: str) -> str | None:
    """Of a key that is not named."""
    if _KEY_REFUSED in words:
        # https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
        # https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_examples_cross.html
        return (
            "Secrets Manager asked KMS in the caller's name for the secret's key, and KMS refused. "
            "To read a secret its caller needs kms:Decrypt on that key, to write one "
            "kms:GenerateDataKey, too: by its own policies or by the key's, and of another "
            "account's secret by both; the key aws/secretsmanager serves its own account alone"
        )
    if CIPHERTEXT in words or _CIPHERTEXT in words:
        # https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying-external-accounts.html
        asked = called(words)
        return (
            "KMS refused to decrypt (kms:Decrypt) and names neither caller nor key: the key that "
            "it was encrypted with is gone or in another region, or the caller lacks kms:Decrypt "
            "on it, by its own policies or by the key's, and of another account's key by both"
            + _which_key(asked.operation if asked else "", words)
        )
    return None


def _which_key(operation: str, words: str) -> str:
    """Where the key is told, by what asked for it; "" if that is not known."""
    of_s3 = _KEY_OF[""] if _S3.search(words) else ""
    found = _KEY_OF.get(operation, of_s3) if operation else of_s3
    return f". {found}" if found else ""


def queue_asked(words: str) -> str | None:
    """The ARN of the queue whose address SQS's words tell; None if they tell none."""
    found = _QUEUE.search(words)
    if found is None or not found["name"]:
        return None
    return f"arn:aws:sqs:{found['region'] or found['old']}:{found['account']}:{found['name']}"


def of_a_queue(words: str) -> str | None:
    """Of SQS's own sentence, which has an address."""
    queue = _QUEUE.search(words)
    return _of_queue(queue, called(words), by_name.action(words)) if queue else None


def _of_queue(queue: re.Match[str], call: Call | None, named_beside: str) -> str:
    region, arn = queue["region"] or queue["old"], queue_asked(queue[0])
    what = f" on its queue {arn}" if arn else ""
    if action := action_of("sqs", call.operation) if call else "":
        return (
            f"SQS refused {action}{what or ' on *' * only_star(action)}; whether an Allow is "
            "lacking or a policy denies it is not told"
        )
    fits = named_beside.startswith("sqs:")
    beside = f". The words beside it fit a call that needs {named_beside}" * fits
    if not arn:
        which = (
            "" if beside else " (its action is sqs:... of its name; sqs:ListQueues is allowed on "
            "*, the others on a queue)"
        )  # fmt: skip
        return (
            f"SQS refused a request in {region}. The address names no queue, and SQS's sentence "
            f"neither the call nor the caller: the lines around it may tell the call{which}"
            f"{beside}. Whether an Allow is lacking or a policy denies it is not told"
        )
    return (
        f"SQS refused a request{what}, without saying whose or which: a service, such as a topic "
        "of SNS, is let in by the queue's policy alone (sqs:SendMessage for sns.amazonaws.com and "
        f"the topic as aws:SourceArn), a role or user by its own policies or the queue's{beside}"
    )
