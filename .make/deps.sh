#!/usr/bin/env bash
# Install what a build needs and is not there: deps.sh PACKAGE|COMMAND:PACKAGE...
# COMMAND:PACKAGE is met by the command, wherever it comes from; PACKAGE by the Debian package. Then checks Rust.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)

missing=()
for need in "$@"; do
  package=${need#*:}
  if [[ $need == *:* ]]; then
    command -v "${need%%:*}" >/dev/null || missing+=("$package")
  elif command -v dpkg-query >/dev/null; then
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  fi
done

if ((${#missing[@]})); then
  if ! command -v apt-get >/dev/null; then
    echo "error: missing: ${missing[*]} (names of Debian packages)" >&2
    echo "hint: this machine has no apt-get; install them with its own package manager, then run make again" >&2
    exit 1
  fi
  as_root=()
  if ((EUID)); then
    command -v sudo >/dev/null || {
      echo "error: missing Debian packages: ${missing[*]}" >&2
      echo "hint: run as root: apt-get install ${missing[*]}" >&2
      exit 1
    }
    as_root=(sudo)
  fi
  echo "installing ${missing[*]}" >&2
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
fi

wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$root/Cargo.toml")
by_hand="install Rust $wanted or later from https://rustup.rs (Debian 12's own cargo is too old), then run make again"
if ! command -v cargo >/dev/null; then
  echo "installing Rust with rustup" >&2
  installer=$(mktemp)
  trap 'rm -f "$installer"' EXIT
  if ! curl --proto '=https' --tlsv1.2 -sSf --connect-timeout 20 --retry 2 https://sh.rustup.rs -o "$installer"; then
    echo "error: Rust is not installed and https://sh.rustup.rs cannot be reached" >&2
    echo "hint: $by_hand" >&2
    exit 1
  fi
  sh "$installer" -y --quiet --profile minimal --component clippy,rustfmt >&2
  PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
fi
found=$(rustc --version | cut -d' ' -f2)
if [[ $(printf '%s\n' "$wanted" "${found%%-*}" | sort -V | head -n1) != "$wanted" ]]; then
  echo "error: rustc is $found, and Callmark needs $wanted or later" >&2
  if command -v rustup >/dev/null; then
    echo "hint: rustup update stable" >&2
  else
    echo "hint: $by_hand" >&2
  fi
  exit 1
fi
