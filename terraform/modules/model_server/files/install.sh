#!/bin/bash
# Installs what the model server needs, from Amazon Linux's own repositories and from our bucket alone.
# The first argument is the settings file. Safe to run again: a finished installation is kept.
# With "logs" behind it, it installs and starts the log agent instead: a unit of its own, so that an agent that
# fails keeps nobody from predictions.
set -euo pipefail

settings=$1
if [ "${2:-}" = logs ]; then
  agent=/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl
  [ -x "$agent" ] || dnf install --quiet --assumeyes amazon-cloudwatch-agent
  "$agent" -a fetch-config -m ec2 -s -c file:/etc/keyless/cloudwatch-agent.json
  echo "logs: done"
  exit
fi
read_setting() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1])).get(sys.argv[2]) or "")' "$settings" "$1"; }
wheelhouse=$(read_setting wheelhouse)
region=$(read_setting region)
target=/opt/keyless
python=python3.12

install_once() {
  local stage
  dnf install --quiet --assumeyes "$python" || return 1
  stage=$(mktemp --directory /opt/.keyless.XXXXXX) || return 1
  chmod 0755 "$stage"
  # The lock file is written last by `keyless wheelhouse`: with it, every wheel is there, and the code, which is one.
  aws s3 cp --quiet --region "$region" "$wheelhouse/requirements.txt" "$stage/requirements.txt" &&
    aws s3 cp --quiet --region "$region" --recursive "$wheelhouse/wheels/" "$stage/wheels/" &&
    "$python" -m venv "$stage/venv" &&
    "$stage/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
      --no-index --find-links "$stage/wheels" --require-hashes --only-binary :all: \
      --requirement "$stage/requirements.txt" || { rm -rf "$stage"; return 1; }
  rm -rf "$stage/wheels" "$target"
  mv "$stage" "$target"
}

until [ -x "$target/venv/bin/python" ] || install_once; do
  echo "install: not complete yet, waiting for $wheelhouse"
  sleep 30
done
echo "install: done"
