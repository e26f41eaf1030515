#!/usr/bin/env bash
# Make a Python environment for requirements files, once for each content of them, and print its python:
# venv.sh FOLDER REQUIREMENTS...
set -euo pipefail

folder=$1
shift
digest=$(cat "$@" | sha256sum | cut -c1-16)
environment=$folder/$digest
if [[ ! -e $environment/complete ]]; then
  echo "making the Python environment for $*" >&2
  rm -rf "$environment"
  python3 -m venv "$environment"
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "${@/#/-r}" >&2
  touch "$environment/complete"
fi
echo "$environment/bin/python"
