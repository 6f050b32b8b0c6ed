#!/bin/sh
# Submits a search as a job to a running Ray cluster, with a copy of a working folder:
#
#     ADDRESS=http://10.0.0.1:8265 RESULTS=/results/my ray_job.sh FOLDER my.yaml search.trials=40
#
# FOLDER has the spec, and files that it names; Ray copies it, so it should not have run folders.
# RESULTS is an absolute folder on the node that runs the job. It needs the package ray[default].
set -eu
folder=${1:?name the working folder}
shift
: "${1:?name the spec, a file of the working folder}"
case ${RESULTS:?set RESULTS, the absolute folder of the results} in
  /*) ;;
  *) echo "RESULTS: expected an absolute folder, got $RESULTS: the job runs in a copy" >&2; exit 2 ;;
esac
RAY_AUTH_MODE=${RAY_AUTH_MODE:-token}
export RAY_AUTH_MODE
exec "${RAY:-ray}" job submit --address "${ADDRESS:?set ADDRESS, such as http://10.0.0.1:8265}" \
  --working-dir "$folder" -- kfc tune "$@" --folder "$RESULTS" --ray
