"""Promotion: makes the candidate the champion."""

import os

import boto3

BUCKET = os.environ["BUCKET"]
s3 = boto3.client("s3")
body = s3.get_object(Bucket=BUCKET, Key="candidate/model.pkl")["Body"].read()
s3.put_object(Bucket=BUCKET, Key="champion/model.pkl", Body=body)
