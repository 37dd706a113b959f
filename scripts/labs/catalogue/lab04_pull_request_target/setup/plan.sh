#!/usr/bin/env bash
# What would change? The plan reads the state, and what is deployed.
set -euo pipefail
keyless aws s3api get-object --bucket "lab-state-$ACCOUNT" --key terraform.tfstate state.json >/dev/null
keyless aws ssm get-parameter --name /lab/endpoint >/dev/null
echo "planned against the state:"
cat state.json
