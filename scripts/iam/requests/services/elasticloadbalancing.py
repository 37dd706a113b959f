"""Elastic Load Balancing (v2): the reads that Auto Scaling and Terraform make.

The platform has no load balancer, so nothing here changes one.
"""

from __future__ import annotations

from scripts.iam.requests.row import Table, anywhere

TABLE: Table = anywhere(
    "DescribeAccountLimits DescribeListeners DescribeLoadBalancerAttributes "
    "DescribeLoadBalancers DescribeRules DescribeTags DescribeTargetGroupAttributes "
    "DescribeTargetGroups DescribeTargetHealth"
)
