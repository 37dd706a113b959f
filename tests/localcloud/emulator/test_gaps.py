"""What moto loses of what Terraform writes, and is kept here: else a second plan is not empty."""

import json

import pytest
from botocore.exceptions import ClientError

from scripts.localcloud.emulator import gaps
from tests.localcloud.clients import Account


@pytest.fixture(scope="module")
def group(account: Account) -> str:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    return str(ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"])


def test_a_rule_to_a_prefix_list_keeps_its_description(account: Account, group: str) -> None:
    ec2 = account.client("ec2")
    found = ec2.describe_prefix_lists()["PrefixLists"]
    [s3] = [each["PrefixListId"] for each in found if each["PrefixListName"].endswith(".s3")]
    destination = {"PrefixListId": s3, "Description": "to S3"}
    [made] = ec2.authorize_security_group_egress(
        GroupId=group,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "PrefixListIds": [destination]}
        ],
    )["SecurityGroupRules"]
    [rule] = ec2.describe_security_group_rules(SecurityGroupRuleIds=[made["SecurityGroupRuleId"]])[
        "SecurityGroupRules"
    ]
    assert (rule["PrefixListId"], rule["Description"]) == (s3, "to S3")


@pytest.mark.parametrize(("given", "left"), [({}, 0), ({"DeleteOnTermination": False}, 1)])
def test_an_interface_made_for_an_instance_ends_with_it_unless_kept(
    account: Account, given: dict[str, bool], left: int
) -> None:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.8.0.0/24")["Subnet"]["SubnetId"]
    launched = ec2.run_instances(
        ImageId=ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"],
        MinCount=1,
        MaxCount=1,
        NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": subnet, **given}],
    )
    filters = [{"Name": "subnet-id", "Values": [subnet]}]
    assert len(ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]) == 1
    for _ in range(2):  # the second time there is nothing to end, and that is no error
        ended = ec2.terminate_instances(InstanceIds=[launched["Instances"][0]["InstanceId"]])
        assert ended["TerminatingInstances"][0]["CurrentState"]["Name"] in {
            "shutting-down",
            "terminated",
        }
        assert len(ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]) == left


def test_a_group_starts_instances_of_a_templates_later_version(account: Account) -> None:
    ec2, autoscaling = account.client("ec2"), account.client("autoscaling")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    data = {"ImageId": image, "InstanceType": "t4g.micro"}
    name, first, second = "versions", "Zmlyc3Q=", "c2Vjb25k"
    ec2.create_launch_template(
        LaunchTemplateName=name, LaunchTemplateData={**data, "UserData": first}
    )
    made = ec2.create_launch_template_version(
        LaunchTemplateName=name, LaunchTemplateData={**data, "UserData": second}
    )
    assert made["LaunchTemplateVersion"]["LaunchTemplateData"]["UserData"] == second
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=1,
        MaxSize=1,
        AvailabilityZones=["us-east-1a"],
        LaunchTemplate={"LaunchTemplateName": name, "Version": "2"},
    )
    [group] = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])[
        "AutoScalingGroups"
    ]
    [instance] = group["Instances"]
    found = ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="userData")
    assert found["UserData"]["Value"] == second


def test_a_gateway_endpoint_routes_in_the_tables_it_has_now_and_goes(account: Account) -> None:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    first, second = (
        ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"] for _ in range(2)
    )
    endpoint = ec2.create_vpc_endpoint(
        VpcId=vpc,
        ServiceName="com.amazonaws.us-east-1.s3",
        VpcEndpointType="Gateway",
        RouteTableIds=[first],
    )["VpcEndpoint"]["VpcEndpointId"]

    def routed() -> set[str]:
        tables = ec2.describe_route_tables(RouteTableIds=[first, second])["RouteTables"]
        return {
            table["RouteTableId"]
            for table in tables
            if any(route.get("GatewayId") == endpoint for route in table["Routes"])
        }

    assert routed() == {first}
    ec2.modify_vpc_endpoint(
        VpcEndpointId=endpoint, AddRouteTableIds=[second], RemoveRouteTableIds=[first]
    )
    assert routed() == {second}
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
    assert routed() == set()


def test_a_snapshot_is_copied_while_its_key_is_there(account: Account) -> None:
    rds, kms = account.client("rds"), account.client("kms")
    old, new = (kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(2))
    rds.create_db_instance(
        DBInstanceIdentifier="kept", DBInstanceClass="db.t4g.micro", Engine="postgres",
        AllocatedStorage=20, MasterUsername="master", ManageMasterUserPassword=True,
        StorageEncrypted=True, KmsKeyId=old, PubliclyAccessible=False,
    )  # fmt: skip
    rds.create_db_snapshot(DBInstanceIdentifier="kept", DBSnapshotIdentifier="last")
    copy = {"SourceDBSnapshotIdentifier": "last", "KmsKeyId": new}
    copied = rds.copy_db_snapshot(**copy, TargetDBSnapshotIdentifier="again")["DBSnapshot"]
    assert copied["KmsKeyId"].endswith(new)
    kms.schedule_key_deletion(KeyId=old, PendingWindowInDays=30)
    with pytest.raises(ClientError, match="KMSKeyNotAccessible"):
        rds.copy_db_snapshot(**copy, TargetDBSnapshotIdentifier="too-late")


def test_a_deleted_nat_gateway_lets_go_of_its_address_and_its_subnet(account: Account) -> None:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.8.0.0/24")["Subnet"]["SubnetId"]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    gateway = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]
    [held] = ec2.describe_addresses(AllocationIds=[address])["Addresses"]
    assert held["AssociationId"]
    ec2.delete_nat_gateway(NatGatewayId=gateway["NatGatewayId"])
    [free] = ec2.describe_addresses(AllocationIds=[address])["Addresses"]
    assert not free.get("AssociationId")
    with pytest.raises(ClientError, match="InvalidAssociationID"):
        ec2.disassociate_address(AssociationId=held["AssociationId"])
    ec2.release_address(AllocationId=address)
    ec2.delete_subnet(SubnetId=subnet)


def test_an_expiration_of_old_versions_keeps_how_many_it_spares(account: Account) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket="spared")
    whole = {"Filter": {"Prefix": ""}, "Status": "Enabled"}
    rules = [
        {
            **whole,
            "ID": "sparing",
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30, "NewerNoncurrentVersions": 3},
        },
        {**whole, "ID": "all", "NoncurrentVersionExpiration": {"NoncurrentDays": 30}},
        {**whole, "ID": "none", "Expiration": {"Days": 9}},
    ]
    s3.put_bucket_lifecycle_configuration(Bucket="spared", LifecycleConfiguration={"Rules": rules})
    assert s3.get_bucket_lifecycle_configuration(Bucket="spared")["Rules"] == rules


def test_awss_own_policies_are_there_when_they_are_named(account: Account) -> None:
    iam = account.client("iam")
    account.job_role("reads-all")
    before = {one["PolicyName"] for one in iam.list_policies()["Policies"]}
    iam.attach_role_policy(RoleName="reads-all", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    attached = iam.list_attached_role_policies(RoleName="reads-all")["AttachedPolicies"]
    assert [one["PolicyName"] for one in attached] == ["ReadOnlyAccess"]
    assert "ReadOnlyAccess" not in before
    with pytest.raises(ClientError) as refused:
        iam.attach_role_policy(RoleName="reads-all", PolicyArn="arn:aws:iam::aws:policy/Nothing")
    assert refused.value.response["Error"]["Code"] == "NoSuchEntity"


def test_a_document_is_found_by_its_arn_and_default_version(account: Account) -> None:
    ssm = account.client("ssm")
    content = '{"schemaVersion": "1.0", "sessionType": "Port"}'
    ssm.create_document(Name="by-arn", DocumentType="Session", Content=content)
    arn = f"arn:aws:ssm:{account.cloud.region}:{account.cloud.account_id}:document/by-arn"
    for given in ({"Name": arn}, {"Name": "by-arn", "DocumentVersion": "$DEFAULT"}):
        assert ssm.get_document(**given)["Content"]


def test_a_user_is_asked_for_every_kind_of_credential_before_it_is_deleted(
    account: Account,
) -> None:
    """Terraform's `force_destroy` lists them all."""
    iam = account.client("iam")
    iam.create_user(UserName="learner")
    found = iam.list_service_specific_credentials(UserName="learner")
    assert found["ServiceSpecificCredentials"] == []
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.list_service_specific_credentials(UserName="nobody")
    iam.delete_user(UserName="learner")


def test_an_audience_is_added_to_a_provider_that_is_there_and_removed(account: Account) -> None:
    iam = account.client("iam")
    arn = iam.create_open_id_connect_provider(
        Url="https://issuer.example.com", ClientIDList=["theirs"]
    )["OpenIDConnectProviderArn"]

    def audiences() -> list[str]:
        found: list[str] = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)[
            "ClientIDList"
        ]
        return found

    for _ in range(2):  # the second time nothing changes, and that is no error
        iam.add_client_id_to_open_id_connect_provider(
            OpenIDConnectProviderArn=arn, ClientID="sts.amazonaws.com"
        )
        assert audiences() == ["theirs", "sts.amazonaws.com"]
    for _ in range(2):
        iam.remove_client_id_from_open_id_connect_provider(
            OpenIDConnectProviderArn=arn, ClientID="theirs"
        )
        assert audiences() == ["sts.amazonaws.com"]
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.add_client_id_to_open_id_connect_provider(
            OpenIDConnectProviderArn=f"{arn}x", ClientID="sts.amazonaws.com"
        )


@pytest.mark.parametrize(
    ("family", "value", "answered"),
    [
        ("postgres17", "1", ("system", "pending-reboot")),
        ("postgres17", "0", ("user", "immediate")),
        ("postgres14", "1", ("user", "immediate")),
        ("postgres14", "0", ("system", "pending-reboot")),
    ],
)
def test_a_parameter_that_equals_the_default_is_the_systems(
    account: Account, family: str, value: str, answered: tuple[str, str]
) -> None:
    rds, name = account.client("rds"), f"{family}-{value}"
    rds.create_db_parameter_group(
        DBParameterGroupName=name, DBParameterGroupFamily=family, Description="d"
    )
    given = {"ParameterName": "rds.force_ssl", "ParameterValue": value, "ApplyMethod": "immediate"}
    rds.modify_db_parameter_group(DBParameterGroupName=name, Parameters=[given])
    [found] = rds.describe_db_parameters(DBParameterGroupName=name)["Parameters"]
    assert (found["Source"], found["ApplyMethod"]) == answered


def test_access_logs_come_many_to_an_object_and_none_is_lost(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = account.client("s3")
    for name in ("logged", "logs"):
        s3.create_bucket(Bucket=name)
    allowed = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "logging.s3.amazonaws.com"},
                "Action": "s3:PutObject",
                "Resource": "arn:aws:s3:::logs/*",
            }
        ],
    }
    s3.put_bucket_policy(Bucket="logs", Policy=json.dumps(allowed))
    target = {"LoggingEnabled": {"TargetBucket": "logs", "TargetPrefix": "of/"}}
    s3.put_bucket_logging(Bucket="logged", BucketLoggingStatus=target)

    def objects() -> list[str]:
        return [one["Key"] for one in s3.list_objects_v2(Bucket="logs").get("Contents", [])]

    for number in range(20):
        s3.put_object(Bucket="logged", Key=f"k{number}", Body=b"x")
    assert len(objects()) == 1  # the first comes at once
    monkeypatch.setattr(gaps, "ACCESS_LOG_SECONDS", 0.0)
    s3.get_object(Bucket="logged", Key="k0")
    found = objects()
    assert len(found) == 2
    lines = [
        line
        for key in found
        for line in s3.get_object(Bucket="logs", Key=key)["Body"].read().decode().splitlines()
    ]
    assert sum("PUT" in line for line in lines) == 20
    assert sum("GET" in line for line in lines) == 1
