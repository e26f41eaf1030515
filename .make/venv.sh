#!/usr/bin/env bash
# Make a Python environment for a requirements file, once for each content of it, and print its python:
# venv.sh FOLDER REQUIREMENTS
set -euo pipefail

folder=$1 requirements=$2
digest=$(sha256sum "$requirements" | cut -c1-16)
environment=$folder/$digest
if [[ ! -e $environment/complete ]]; then
  echo "making the Python environment for $requirements" >&2
  rm -rf "$environment"
  python3 -m venv "$environment"
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2
  touch "$environment/complete"
fi
echo "$environment/bin/python"
