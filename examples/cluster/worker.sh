#!/bin/sh
# Runs kfc as one of several workers, whose addresses differ in their number alone:
#
#     WORKERS=2 WORKER=0 ADDRESS=worker-%d.kfc:2222 worker.sh fit my.yaml
#
# WORKER is this one's number, from 0. Kubernetes sets JOB_COMPLETION_INDEX in its place.
set -eu
index=${WORKER:-${JOB_COMPLETION_INDEX:?set WORKER or JOB_COMPLETION_INDEX}}
addresses=
number=0
while [ "$number" -lt "${WORKERS:?set WORKERS, the number of all workers}" ]; do
  # shellcheck disable=SC2059
  address=$(printf "${ADDRESS:?set ADDRESS, such as worker-%d.kfc:2222}" "$number")
  addresses="$addresses${addresses:+, }\"$address\""
  number=$((number + 1))
done
TF_CONFIG="{\"cluster\": {\"worker\": [$addresses]}, \"task\": {\"type\": \"worker\", \"index\": $index}}"
export TF_CONFIG
exec "${KFC:-kfc}" "$@"
