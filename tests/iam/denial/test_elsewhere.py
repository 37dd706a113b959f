"""What looks like a denial by a policy of IAM and is none, and services' own words beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.iam.denial.reading import elsewhere
from scripts.iam.denial.reading.callerless import cause
from scripts.iam.denial.reading.messages import read
from tests.iam.denial.test_given import ACCOUNT, SESSION, explained, policy, run

ROLE = f"arn:aws:iam::{ACCOUNT}:role/jobs"
CALL = "An error occurred ({}) when calling the {} operation: "
NO_POLICY = [
    # Credentials.
    (CALL.format("ExpiredToken", "ListObjectsV2") + "The provided token has expired", "expired"),
    (CALL.format("ExpiredTokenException", "AssumeRoleWithWebIdentity") + "Token expired: current "
     "date/time must be before the expiration date/time", "have expired"),
    ("InvalidClientTokenId: The security token included in the request is invalid.\n"
     "\tstatus code: 403", "AWS_SESSION_TOKEN"),
    ("api error UnrecognizedClientException: The security token included in the request is invalid",
     "does not take the credentials"),
    # cargo-lambda/cargo-lambda#552; Cloud9's own credentials, which
    # https://docs.aws.amazon.com/cloud9/latest/user-guide/security-iam.html limits
    ('Error { code: "InvalidClientTokenId", message: "The security token included in the request '
     'is invalid" }', "Cloud9"),
    # https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
    (CALL.format("InvalidClientTokenId", "ListUsers") + "The security token included in the request"
     " is invalid", "GetSessionToken without MFA"),
    (CALL.format("AuthFailure", "DescribeVpcs") + "AWS was not able to validate the provided access"
     " credentials", "does not take the credentials"),
    ("<Error><Code>SignatureDoesNotMatch</Code></Error>", "not what the secret key gives"),
    (CALL.format("RequestTimeTooSkewed", "PutObject") + "The difference is too large", "clock"),
    (CALL.format("InvalidClientTokenId", "AssumeRole") + "STS is not activated in this region for "
     f"account:{ACCOUNT}.", "switched off in that region"),
    (CALL.format("InvalidIdentityToken", "AssumeRoleWithWebIdentity") + "No OpenIDConnect provider "
     "found in your account for https://token.actions.githubusercontent.com",
     "no OIDC provider for https://token.actions.githubusercontent.com."),
    (CALL.format("InvalidIdentityToken", "AssumeRoleWithWebIdentity") + "Incorrect token audience",
     "does not list the token's audience"),
    ("ssooidc.model.AccessDeniedException: Service returned error code AccessDeniedException "
     "(Service: SsoOidc, Status Code: 400)", "sso_region"),
    ("NoCredentialsError: Unable to locate credentials", "found no credentials"),
    (CALL.format("ForbiddenException", "GetRoleCredentials") + "No access",
     "not assigned that permission set"),
    ("operation error SSO: GetRoleCredentials, https response error StatusCode: 403, RequestID: , "
     "api error ForbiddenException: No access", "not assigned that permission set"),
    ('{"message":"Missing Authentication Token"}', "was not signed"),
    # The account.
    ("creating a pool: SubscriptionRequiredException: The AWS Access Key Id needs a subscription"
     " for the service", "cannot use that service"),
    ("OptInRequired: In order to use this AWS Marketplace product you need to accept terms and "
     "subscribe.", "accept its terms"),
    ("Your account must be verified before you can add new CloudFront resources. (Service: "
     "AmazonCloudFront; Status Code: 403; Error Code: AccessDenied; Request ID: 1)",
     "restricts the account"),
    (CALL.format("AccessDeniedException", "GetCostAndUsage") + "User not enabled for cost explorer "
     "access", "Cost Explorer is not enabled"),
    (CALL.format("AccessDeniedException", "InvokeModel") + "You don't have access to the model with"
     " the specified model ID.", "no access to that model"),
    (f"InvalidAccessException: Account {ACCOUNT} is not an administrator for this organization",
     "delegated administrator"),
    ("554 Message rejected: Email address is not verified. The following identities failed the "
     "check in region EU-WEST-1: ann@example.com", "not verified in the region"),
    # Other systems of rights.
    ('pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group ""',
     "without credentials"),
    ('{"message":"secrets is forbidden: User \\"system:serviceaccount:web:shop\\" cannot list '
     'resource \\"secrets\\" in API group \\"\\" in the namespace \\"web\\""}',
     "the service account shop of namespace web may not list resource secrets"),
    (f'Error from server (Forbidden): nodes is forbidden: User "{SESSION}" cannot list resource '
     '"nodes" in API group "" at the cluster scope',
     f"knows the caller, as {SESSION}, and nothing there lets it list resource nodes"),
    ("error: You must be logged in to the server (Unauthorized)", "create-access-entry"),
    ('{"error":{"root_cause":[{"type":"security_exception","reason":"no permissions for '
     f'[indices:data/write/bulk] and User [name={ROLE}, backend_roles=[{ROLE}]]"}}]}}}}',
     f"{ROLE} has no role there with indices:data/write/bulk"),
    ("NotAuthorizedException: Unauthenticated access is not supported for this identity pool.",
     "takes no guests"),
    ('{"Message":"User is not authorized to access this resource with an explicit deny"}',
     "Lambda authorizer"),
    ("x-amzn-errortype: ForbiddenException\n{\"message\":\"Forbidden\"}", "API key"),
    ("The instance profile web associated with the environment does not exist.", "Beanstalk"),
    ("<H2>The request could not be satisfied.</H2>Request blocked. We can't connect to the server",
     "CloudFront itself"),
    ("It can be called only from the organization's management account", "place in its"),
    ("Instances failed to join the kubernetes cluster", "type EC2_LINUX"),
    ("Tunnel connection failed: 403 Forbidden", "a proxy"),
    (CALL.format("ThrottlingException", "DescribeStacks") + "Rate exceeded", "too many requests"),
    (CALL.format("BadRequestException", "UpdateOrganizationConfiguration") + "The request failed "
     "because you do not have required AWS Organization master permission.",
     "delegated administrator"),
    ('{"__type":"NotAuthorizedException","message":"User is not authorized to get auth details."}',
     "comes from an external provider"),
    ('{"msg":"Error fetching credentials: Service account token cannot be parsed: token is bad"}',
     "no Bearer before it"),
    (CALL.format("AWSOrganizationsNotInUseException", "ListAccounts") + "Your account is not a "
     "member of an organization.", "in no organization"),
]  # fmt: skip
OWN_WORDS = [
    ("S3ServiceException:Access Denied,Status 403,Error AccessDenied,Rid D1,CanRetry 1",
     "Redshift asked S3"),
    (f"User arn:aws:redshift:eu-west-1:{ACCOUNT}:dbuser:w/ann is not authorized to assume IAM Role "
     f"{ROLE}", f"Redshift could not become {ROLE}:"),
    ("kafka server: SASL Authentication failed: [0a1b]: Access denied", "kafka-cluster:Connect"),
    ("kafka server: The client is not authorized to access this topic", "DescribeTopic"),
    ("opensearchpy.exceptions.AuthorizationException: AuthorizationException(403, 'Forbidden')",
     "aoss:APIAccessAll"),
    ('"message":"Not Authorized to access getNote on type Query"', "field getNote (Query)"),
    (f"AccessDeniedException: '{ROLE}' is not authorized to create managed-rule.",
     f"that it makes with {ROLE}:"),
    ("AccessDeniedException: Unauthorized Exception! EKS does not have permissions to assume the "
     "associated role.", "sts:TagSession both"),
    (CALL.format("InsufficientS3BucketPolicyException", "CreateTrail") + "Incorrect S3 bucket "
     "policy is detected for bucket: trails", "arn:aws:s3:::trails/PREFIX/AWSLogs/"),
    ("Insufficient delivery policy to s3 bucket: records, unable to write to bucket",
     "write to records with the recorder's role"),
    (f"Insufficient delivery policy to s3 bucket: records, unable to assume role: {ROLE}.",
     f"cannot become {ROLE}:"),
    ("Forbidden (Service: AWSIotData; Status Code: 403; Error Code: ForbiddenException)",
     "iot:GetThingShadow"),
    (f'Could not access model data at s3://box/m.tar.gz. Please ensure that the role "{ROLE}"',
     f"could not read s3://box/m.tar.gz with {ROLE},"),
    ("npm error code E401\nnpm error Unable to authenticate at "
     f"https://d-{ACCOUNT}.d.codeartifact.eu-west-1.amazonaws.com/npm/r/", "12 hours"),
    ("fatal: unable to access 'https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/app/': The "
     "requested URL returned error: 403", "arn:aws:codecommit:eu-west-1:ACCOUNT:app"),
    (f"The IAM Role arn:aws:iam::{ACCOUNT}:role/dms-vpc-role is not configured properly.",
     "AmazonDMSVPCManagementRole"),
    ("error creating Backup Vault (): AccessDeniedException: \n\tstatus code: 403",
     "backup-storage:MountCapsule"),
    ("AccessDenied: User: arn:aws:iam::1:user/a is not authorized to perform: sts (truncated...)",
     "which is one of sts:...;"),
    ("(AccessDeniedException) when calling the GrantPermissions operation: Insufficient Glue "
     "permissions to access table notes", "asked Glue in the caller's name for the table notes:"),
    ("(InsufficientPrivilegesException) You do not have permission to perform the 's3:CreateBucket'"
     " action.", "s3:CreateBucket was refused to a caller"),
    ("Insufficient permissions to enable logging (Service: AmazonApiGatewayV2)", "on * logs:C"),
    ('The provided role "deploys-*" does not have sufficient permissions.', "CodePipeline refused"),
    ("<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", "cloudfront"),
    (f"Failed to execute action arn:aws:sns:eu-west-1:{ACCOUNT}:page. Received error: \"null "
     "(Service: AWSKMS; Status Code: 400; Error Code: AccessDeniedException; Proxy: null)\"",
     f"the alarm's topic (arn:aws:sns:eu-west-1:{ACCOUNT}:page)"),
    ("CloudWatch Alarms does not have authorization to access the SNS topic encryption key.",
     "the alarm's topic (which is not named)"),
    ("AccessDenied: Access Denied status code: 403, request id: 1, host id: 2= for primary source "
     "and source version arn:aws:s3:::pipes/in/a.zip",
     "S3 refused it (arn:aws:s3:::pipes/in/a.zip)"),
    (CALL.format("InvalidParameterValueException", "CreateEventSourceMapping") + "Cannot access "
     f"stream arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/a. Please ensure the role can perform",
     "kinesis:GetShardIterator"),
    (f"SageMaker is unable to use your associated ExecutionRole [{ROLE}] to create app. Verify that"
     " your associated ExecutionRole has permission for 'sagemaker:CreateApp'.",
     "sagemaker:CreateApp by its own policies"),
    ("Resource handler returned message: \"Access denied for operation 'AWS::QuickSight::Theme'.\" "
     "(HandlerErrorCode: AccessDenied)", "--type-name AWS::QuickSight::Theme"),
    ("AccessDeniedException: User is not authorized to access the web ACL", "wafv2:GetWebACL"),
    ('{"Message":"Access denied while invoking Polly synthesize speech API. Please check"}',
     "called Polly (synthesize speech)"),
    (CALL.format("EncryptionKeyAccessDeniedException", "GetFile") + "An encryption key is not",
     "CodeCommit asked KMS"),
    ("WARNING: Insufficient IAM privileges. Unable to determine if instance profile 'web' exists, "
     "assuming that it exists.", "the instance profile web"),
    ("ServiceLinkedRoleNotFoundFault: This action cannot be completed due to insufficient "
     "permissions.", "no service-linked role"),
    (f"Arguments: ('webidentity:{ROLE},/var/run/token',)\nb'mount.nfs4: access denied by server "
     "while mounting 127.0.0.1:/'", f"the client's own ({ROLE})"),
    ("mount.nfs4: access denied by server while mounting 127.0.0.1:/",
     "the client's own (which is not named)"),
    # https://docs.aws.amazon.com/efs/latest/ug/iam-access-control-nfs-efs.html
    ("mount.nfs4: access denied by server while mounting 127.0.0.1:/",
     "A condition on elasticfilesystem:AccessPointArn"),
    ("BadRequest: Amazon FSx is unable to validate access to the S3 bucket. Ensure the IAM role or "
     "user you are using has s3:Get*", "iam:PutRolePolicy"),
    (CALL.format("AuthorizationError", "GetSubscriptionAttributes") + "Not authorized to access "
     "this subscription", "to its owner alone"),
    ("The user does not have permissions to call lambda createFunction. Please make sure you have",
     "Amplify called lambda (createFunction)"),
    ('{"msg":"error fetching credentials: rpc error: code = Unknown desc = AccessDenied: Access '
     'denied","path":"/latest/meta-data/iam/security-credentials/builds","status":500}',
     "asked STS for the role builds"),
    (f"copy a from 's3://pipes/in/a' iam_role '{ROLE}' gzip Invalid operation: "
     "S3ServiceException:Access Denied,Status 403 Details: error:  S3ServiceException:Access "
     "Denied,Status 403",
     "at 's3://pipes/in/a', and not in the database user's name"),
    ("error:  S3ServiceException:Access Denied,Status 403\n  code:      8001\n  context:   S3 key "
     "being read : s3://pipes/in/a", "that the command names : s3://pipes/in/a, and"),
    ('{"contexts":{"reason":"CONNACK:Client is not authenticated/authorized to send the message:1",'
     '"reasonCode":"NOT_AUTHORIZED"}}', "client/CLIENT_ID"),
    (CALL.format("InsufficientPermissionsException", "PutConfigRule") + "The AWS Lambda function "
     f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:rule cannot be invoked. Check the specified",
     "function:rule, whatever the caller may"),
]  # fmt: skip

TARGETS = [
    ("Unable to validate the following destination configurations", "s3.amazonaws.com"),
    ("Access Denied for LogDestination: logs-box. Please check", "refused at logs-box:"),
    ("Access Denied for bucket: logs-box. Please check S3bucket permission",
     "arn:aws:s3:::logs-box/PREFIX/AWSLogs/ACCOUNT/*"),
    ("WAFLogDestinationPermissionIssueException: Unable to deliver logs", "aws-waf-logs-"),
    ("Execution failed due to configuration error: Invalid permissions on Lambda function",
     "lambda:InvokeFunction"),
    ("The service role or action role doesn't have the permissions required to access the Amazon "
     "S3 bucket named box-1. Update", "bucket box-1:"),
    ("Permission denied on S3 path: s3://box/t/part-0", "refused at s3://box/t/part-0:"),
    ("could not perform s3:ListObjectsV2 in bucket box. Access denied.", "DataSync tried box"),
    ("InvalidS3ObjectException: Unable to get object metadata from S3. Check object key, region "
     "and/or access permissions.", "in the region that was called"),
    ("No launch paths found for resource: prod-abc", "associated with a portfolio"),
    (f"Unable to assume role, role ARN: {ROLE}", f"cannot become {ROLE}:"),
    ("InvalidSmsRoleTrustRelationshipException: Role does not", "sts:ExternalId"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "what"), NO_POLICY)
def test_what_no_policy_refused_is_called_what_it_is(words: str, what: str) -> None:
    found = read(words)
    assert found.refusals == ()
    assert any(what in str(elsewhere.meaning(one)) for one in found.bare)


@pytest.mark.parametrize(("words", "what"), [*OWN_WORDS, *TARGETS])
def test_further_services_own_words_are_told(words: str, what: str) -> None:
    found = read(words)
    assert any(what in str(cause(one)) for one in found.bare)
    assert not any(map(elsewhere.meaning, found.bare))


def test_no_policy_is_asked_for_where_none_decided(tmp_path: Path) -> None:
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    for given in ({}, {"policy": policy(everything)}):
        done = run(tmp_path, NO_POLICY[0][0], **given)
        assert done.exit_code == 2
        assert "No policy of IAM refused this" in done.output
        assert "--policy" not in done.output


def test_an_expired_token_is_not_one_that_a_trust_policy_refused(tmp_path: Path) -> None:
    trusts = {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
              "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/id"}}  # fmt: skip
    done = run(tmp_path, NO_POLICY[1][0], trust=policy(trusts))
    assert "have expired" in done.output


def test_own_words_without_a_right_ask_for_no_policy(tmp_path: Path) -> None:
    done = run(tmp_path, OWN_WORDS[0][0])
    assert "The words tell too little for a policy to be tried on" in done.output
    assert "--policy" not in done.output


@pytest.mark.parametrize(("service", "changes"), [("events", 1), ("scheduler", 0)])
def test_a_role_that_a_service_does_not_name_is_judged_by_its_trust_policy(
    tmp_path: Path, service: str, changes: int
) -> None:
    words = (
        "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
    )
    trusts = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"},
              "Action": "sts:AssumeRole"}  # fmt: skip
    found = explained(run(tmp_path, words, "--json", trust=policy(trusts)))
    assert len(found["changes"]) == changes
    assert any("names no role" in note for note in found["notes"])
    assert "--trust FILE" in run(tmp_path, words).output


def test_words_without_blanks_around_are_not_cut() -> None:
    found = read('{"error":{"root_cause":[{"reason":"no permissions for [a] and User [name=b]"}]}}')
    assert "no permissions for [a]" in found.bare[0]


def test_a_quote_of_markdown_and_dots_for_a_name_are_read_over(tmp_path: Path) -> None:
    words = (
        "> AccessDenied: User ...deploys is not authorized to perform:\n"
        "> elasticache:CreateCacheSubnetGroup ... no identity-based policy allows the action"
    )
    output = " ".join(run(tmp_path, words).output.split())
    assert "as no identity-based policy allows it" in output
    assert "An Allow of it names arn:aws:elasticache:REGION:ACCOUNT:subnetgroup:<" in output


def test_a_resource_whose_account_is_hidden_is_taken_for_the_callers(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: sqs:SendMessage on resource: "
        "arn:aws:sqs:eu-west-1:XXXXXXXXX:orders"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert found["principal"] == SESSION
    [change] = found["changes"]
    assert change["statement"]["Resource"] == [f"arn:aws:sqs:eu-west-1:{ACCOUNT}:orders"]
    assert any("as the caller" in note for note in found["notes"])


def test_of_a_resource_that_is_cut_its_policy_is_told(tmp_path: Path) -> None:
    words = (
        "User: anonymous is not authorized to perform: execute-api:Invoke on resource: "
        "arn:aws:execute-api:eu-west-1:********"
    )
    api = f"arn:aws:execute-api:eu-west-1:{ACCOUNT}:a1b2/*"
    one = {"Principal": "*", "Action": "execute-api:Invoke", "Resource": api}
    deny = one | {"Effect": "Deny",
                  "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}}  # fmt: skip
    written = policy(one | {"Effect": "Allow"}, deny)
    found = explained(run(tmp_path, words, "--json", resource_policy=written))
    assert any("if StringNotEquals aws:SourceVpce: vpce-1" in note for note in found["notes"])


def test_of_no_resource_it_is_told_that_the_policies_allow_all(tmp_path: Path) -> None:
    guest = f"arn:aws:sts::{ACCOUNT}:assumed-role/pool_Unauth/CognitoIdentityCredentials"
    words = f"User: {guest} is not authorized to perform: kinesisvideo:DescribeStream"
    streams = {"Effect": "Allow", "Action": "kinesisvideo:*", "Resource": "*"}
    found = explained(run(tmp_path, words, "--json", policy=policy(streams)))
    assert any("the policies as they are now allow it" in note for note in found["notes"])
    assert any("Cognito gives guests" in note for note in found["notes"])


def test_an_unnamed_caller_is_refused_on_a_resource_with_a_hidden_account(tmp_path: Path) -> None:
    stream = "arn:aws:kinesis:eu-west-1:{}:stream/app"
    words = f"xxx is not authorized to perform: kinesis:GetRecords on resource: {stream}"
    found = explained(run(tmp_path, words.format("0000"), "--json"))
    [change] = found["changes"]
    assert change["statement"]["Resource"] == [stream.format("ACCOUNT")]


def test_support_names_its_prefix_alone_and_the_call_stands_before_it(tmp_path: Path) -> None:
    words = (
        f"{CALL.format('AccessDeniedException', 'DescribeTrustedAdvisorChecks')}User: {SESSION} is "
        "not authorized to perform: support:"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert found["principal"] == SESSION
    assert found["action"] == "support:DescribeTrustedAdvisorChecks"


def test_json_in_json_ends_a_name_too(tmp_path: Path) -> None:
    queue = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:orders"
    node = SESSION.replace("train/run", "eks-nodes/i-0123456789abcdef0")
    said = f"User: {node} is not authorized to perform: sqs:SendMessage on resource: {queue}"
    found = explained(run(tmp_path, f'{{"stack": "{said}\\\\n    at a"}}', "--json"))
    assert found["resource"] == queue
    assert any("a cluster's nodes" in note for note in found["notes"])


def test_rubys_class_behind_the_sentence_is_no_second_denial() -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: codedeploy:CreateDeployment on resource: "
        f"arn:aws:codedeploy:eu-west-1:{ACCOUNT}:a (Aws::CodeDeploy::Errors::AccessDeniedException)"
    )
    assert read(words).bare == ()


def test_own_words_are_not_judged_by_the_name_of_the_call(tmp_path: Path) -> None:
    other = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    done = run(tmp_path, OWN_WORDS[8][0], policy=policy(other))
    assert "arn:aws:s3:::trails/PREFIX" in done.output
    assert "cloudtrail:CreateTrail" not in done.output


def test_a_crawlers_refusal_is_judged_by_its_role(tmp_path: Path) -> None:
    words = (
        "ERROR : Error Access Denied (Service: Amazon S3; Status Code: 403; Error Code: "
        "AccessDenied; Request ID: F24B) retrieving file at s3://box-in/a/b.json. Tables"
    )
    reads = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::box-of-*"}
    found = explained(run(tmp_path, words, "--json", policy=policy(reads)))
    assert "add arn:aws:s3:::box-in/a/b.json to its resources" in found["changes"][0]["edit"]


@pytest.mark.parametrize(
    "words",
    ["The role {} cannot be assumed by principal 'pipes.amazonaws.com'.",
     "The principal pipes.amazonaws.com is not authorized to assume the role {}"],
)  # fmt: skip
def test_any_service_that_may_not_become_a_role_is_let_in(tmp_path: Path, words: str) -> None:
    found = explained(run(tmp_path, words.format(ROLE), "--json"))
    assert (found["principal"], found["resource"]) == ("pipes.amazonaws.com", ROLE)
    [change] = found["changes"]
    assert change["statement"]["Principal"] == {"Service": ["pipes.amazonaws.com"]}


def test_words_that_are_not_known_tell_the_action_and_the_role_that_they_name(
    tmp_path: Path,
) -> None:
    words = f"The IAM role {ROLE} does not have permission to s3:PutObject on the bucket."
    other = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    found = explained(run(tmp_path, words, "--json", policy=policy(other)))
    assert (found["principal"], found["action"]) == (
        SESSION.replace("train/run", "jobs/session"),
        "s3:PutObject",
    )
    told = cause("Missing required permissions: states:StartExecution for the target.")
    assert (
        told is not None and "it names states:StartExecution: if that is what was refused" in told
    )


@pytest.mark.parametrize("words", ["s3:GetObject reads an object", "the job took a:Sleep"])
def test_an_action_alone_or_an_unknown_one_is_no_denial(words: str) -> None:
    assert read(words).bare == ()


def test_a_service_that_a_roles_trust_lacks_is_told() -> None:
    words = (
        "InvalidParameterException: Following required service principals [eks.amazonaws.com] were "
        f"not found in the trust relationships of clusterRole {ROLE}"
    )
    [one] = read(words).bare
    told = cause(one)
    assert told is not None and told.startswith("eks.amazonaws.com cannot become the role")


def test_identity_centers_own_place_is_told_where_policies_allow(tmp_path: Path) -> None:
    words = f"User: {SESSION} is not authorized to perform: sso:CreatePermissionSet"
    all_of_it = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    found = explained(run(tmp_path, words, "--json", policy=policy(all_of_it)))
    assert any("delegated administrator" in note for note in found["notes"])


def test_a_resources_policy_that_lacks_is_told_though_its_name_is_hidden(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: acm-pca:GetCertificate on resource: "
        f"arn:aws:acm-pca:eu-west-1:{ACCOUNT}:certificate-authority/<uuid> because no "
        "resource-based policy allows the acm-pca:GetCertificate action"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert any(note.startswith("the policy of what was asked for") for note in found["notes"])


def test_an_action_whose_name_alone_is_quoted_is_read() -> None:
    words = (
        'server returned HTTP status 403 Forbidden: {\\"Message\\":\\"User:  is not authorized to '
        'perform: aps: \\"RemoteWrite\\" on resource: '
    )
    [one] = read(words).bare
    told = cause(one)
    assert told is not None and told.startswith("aps:RemoteWrite was refused to a caller")


def test_an_action_that_is_hidden_is_asked_for(tmp_path: Path) -> None:
    guest = SESSION.replace("train/run", "guests/CognitoIdentityCredentials")
    done = run(tmp_path, f"User: {guest} is not authorized to perform: transcribe:<action>")
    assert "the message hides the action, transcribe:<action>" in done.output
    assert "session policy of its own" in done.output


def test_a_deny_that_is_given_is_tried_where_aws_does_not_say_whose_it_was(tmp_path: Path) -> None:
    share = f"arn:aws:ram:eu-west-1:{ACCOUNT}:resource-share/*"
    words = (
        f"User: {SESSION} is not authorized to perform: ram:CreateResourceShare on resource: "
        f"{share} with an explicit deny"
    )
    denies = {
        "Sid": "Inside",
        "Effect": "Deny",
        "Action": "ram:CreateResourceShare",
        "Resource": "*",
        "Condition": {"Bool": {"ram:RequestedAllowsExternalPrincipals": "true"}},
    }
    found = explained(run(tmp_path, words, "--json", scp=policy(denies)))
    assert any("ram:RequestedAllowsExternalPrincipals (Bool) true" in n for n in found["notes"])


def test_a_repositorys_upstreams_need_a_right_of_their_own(tmp_path: Path) -> None:
    words = f"User: {SESSION} is not authorized to perform: codeartifact:CreateRepository"
    found = explained(run(tmp_path, words, "--json"))
    assert any("codeartifact:AssociateWithDownstreamRepository" in n for n in found["notes"])


def test_the_role_that_a_service_was_given_is_told_to_lack_it(tmp_path: Path) -> None:
    words = "The provided execution role does not have permissions to call PutTraceSegments on XRAY"
    found = explained(run(tmp_path, words, "--json"))
    assert any("policies of others change nothing" in note for note in found["notes"])


def test_a_name_that_is_left_out_behind_dots_is_a_hidden_one(tmp_path: Path) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: bedrock:InvokeModel on resource: "
        "arn:aws:bedrock:eu-west-1:...:application-inference-profile/... because no "
        "identity-based policy allows the bedrock:InvokeModel action"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert found["resource"].endswith(":application-inference-profile/…")


@pytest.mark.parametrize(
    ("operation", "key", "action", "asked"),
    [("REST.HEAD.BUCKET", "-", "s3:ListBucket", ""),
     ("REST.COPY.OBJECT_GET", "a/b.json", "s3:GetObject", "/a/b.json")],
)  # fmt: skip
def test_a_line_of_s3s_access_log_is_read(
    tmp_path: Path, operation: str, key: str, action: str, asked: str
) -> None:
    line = (
        f"{'be9f' * 16} pipes [01/Nov/2018:00:28:18 +0000] 172.31.52.255 {SESSION} 232D99AD "
        f'{operation} {key} "HEAD /pipes HTTP/1.1" 403 AccessDenied 243 - 9 - "-" "-" -'
    )
    found = explained(run(tmp_path, line, "--json"))
    assert (found["principal"], found["action"]) == (SESSION, action)
    assert found["resource"] == f"arn:aws:s3:::pipes{asked}"


def test_another_line_of_s3s_access_log_is_left_as_it_is() -> None:
    line = f'pipes [01/Nov/2018] 1.1.1.1 {SESSION} 1 REST.GET.ACL - "GET /" 403 AccessDenied'
    assert read(line).refusals == ()


def test_a_quotes_sign_between_words_is_no_part_of_them() -> None:
    words = (
        "AWS Error > Message: Access to the resource https://sqs.eu-west-1.amazonaws.com/ is "
        "> denied., User-Agent: aws-sdk-php2/2.3.4"
    )
    [one] = read(words).bare
    told = cause(one)
    assert told is not None and told.startswith("SQS refused a request")


def test_words_in_the_place_of_a_users_name_are_no_end_of_the_caller(tmp_path: Path) -> None:
    words = (
        f"User: arn:aws:iam::{ACCOUNT}:user/user name is not authorized to perform: "
        "ses:GetSendQuota"
    )
    found = explained(run(tmp_path, words, "--json"))
    assert found["principal"] == f"arn:aws:iam::{ACCOUNT}:user/user…name"
