"""Parameters that moto drops and this project heeds."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.clients import Account, statement

IMAGE = "ami-12c6146b"


def test_as_many_instances_are_launched_as_may_be(account: Account) -> None:
    made = account.client("ec2").run_instances(ImageId=IMAGE, MinCount=1, MaxCount=3)
    assert len(made["Instances"]) == 3


def test_without_tags_all_of_the_users_are_taken_away(account: Account) -> None:
    ec2 = account.client("ec2")
    tags = [{"Key": "Owner", "Value": "me"}, {"Key": "Stage", "Value": "dev"}]
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=[
        {"ResourceType": "vpc", "Tags": tags}])["Vpc"]["VpcId"]  # fmt: skip
    with pytest.raises(ClientError, match="DryRun"):
        ec2.delete_tags(Resources=[vpc], DryRun=True)
    ec2.delete_tags(Resources=[vpc], Tags=[{"Key": "Stage"}])
    assert ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["Tags"] == tags[:1]
    ec2.delete_tags(Resources=[vpc])
    assert not ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0].get("Tags")


def test_a_policy_about_the_keys_of_tags_is_not_passed_over_where_none_are_named(
    account: Account,
) -> None:
    """Nobody knows whether AWS sets aws:TagKeys then: the Deny must not count as absent."""
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16", TagSpecifications=[
        {"ResourceType": "vpc", "Tags": [{"Key": "Owner", "Value": "me"}]},
    ])["Vpc"]["VpcId"]  # fmt: skip
    keeps = {"ForAnyValue:StringEquals": {"aws:TagKeys": "Owner"}}
    job = account.session(
        "untagger",
        statement("ec2:DeleteTags", "*"),
        {**statement("ec2:DeleteTags", "*"), "Effect": "Deny", "Condition": keeps},
    )
    with pytest.raises(ClientError, match="LocalCloudUnsupportedPolicy"):
        account.client("ec2", job).delete_tags(Resources=[vpc])


def test_the_private_name_of_an_endpoint_is_changed(account: Account) -> None:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.7.1.0/24")["Subnet"]["SubnetId"]
    name = f"com.amazonaws.{account.cloud.region}.sts"
    made = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=name, VpcEndpointType="Interface",
                                   SubnetIds=[subnet], PrivateDnsEnabled=True)  # fmt: skip
    endpoint = made["VpcEndpoint"]["VpcEndpointId"]
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, PrivateDnsEnabled=False)
    shown = ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint])["VpcEndpoints"][0]
    assert shown["PrivateDnsEnabled"] is False


def test_trails_are_shown_by_name(account: Account) -> None:
    s3, trails = account.client("s3"), account.client("cloudtrail")
    s3.create_bucket(Bucket="trail-logs")
    s3.put_bucket_policy(Bucket="trail-logs", Policy=json.dumps({"Version": "2012-10-17",
        "Statement": {**statement("s3:*", "arn:aws:s3:::trail-logs/*"),
                      "Principal": {"Service": "cloudtrail.amazonaws.com"}}}))  # fmt: skip
    for name in ("one", "two"):
        trails.create_trail(Name=name, S3BucketName="trail-logs")
    assert [one["Name"] for one in trails.describe_trails(trailNameList=["two"])["trailList"]] == [
        "two"
    ]


def test_performance_insights_have_their_key(account: Account) -> None:
    rds, key = account.client("rds"), account.client("kms").create_key()["KeyMetadata"]["Arn"]
    rds.create_db_instance(
        DBInstanceIdentifier="watched", DBInstanceClass="db.t4g.micro", Engine="postgres",
        AllocatedStorage=20, MasterUsername="u", ManageMasterUserPassword=True,
        EnablePerformanceInsights=True, PerformanceInsightsKMSKeyId=key,
        PerformanceInsightsRetentionPeriod=7,
    )  # fmt: skip
    shown = rds.describe_db_instances(DBInstanceIdentifier="watched")["DBInstances"][0]
    assert (shown["PerformanceInsightsKMSKeyId"], shown["PerformanceInsightsEnabled"]) == (
        key,
        True,
    )
    rds.modify_db_instance(DBInstanceIdentifier="watched", EnablePerformanceInsights=False)
    shown = rds.describe_db_instances(DBInstanceIdentifier="watched")["DBInstances"][0]
    assert shown["PerformanceInsightsEnabled"] is False


def test_a_group_whose_template_was_deleted_starts_no_instance(account: Account) -> None:
    ec2, scaling = account.client("ec2"), account.client("autoscaling")
    vpc = ec2.create_vpc(CidrBlock="10.6.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.6.1.0/24")["Subnet"]["SubnetId"]
    template = ec2.create_launch_template(
        LaunchTemplateName="gone", LaunchTemplateData={"ImageId": IMAGE}
    )["LaunchTemplate"]["LaunchTemplateId"]
    scaling.create_auto_scaling_group(
        AutoScalingGroupName="left", MinSize=0, MaxSize=3, DesiredCapacity=1,
        VPCZoneIdentifier=subnet, LaunchTemplate={"LaunchTemplateId": template},
    )  # fmt: skip
    ec2.delete_launch_template(LaunchTemplateId=template)
    scaling.set_desired_capacity(AutoScalingGroupName="left", DesiredCapacity=2)
    (group,) = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=["left"])[
        "AutoScalingGroups"
    ]
    assert (group["DesiredCapacity"], len(group["Instances"])) == (2, 1)
    ec2.terminate_instances(InstanceIds=[group["Instances"][0]["InstanceId"]])
