#!/usr/bin/env python3
"""Check the dependencies against .cargo/deny.toml: licences, bans, sources.

    dependencies.py [--metadata FILE]

Stands in for `cargo deny check licenses bans sources` in `make lint`: compiling cargo-deny from source costs every
clean machine more than all other lints together. Reads the same policy file; `make deny` runs the real one.
FILE is the output of `cargo metadata --format-version 1 --locked`, made when absent. Exit status 1 when a rule is broken.
"""
import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
POLICY = ROOT / ".cargo" / "deny.toml"
TOKEN = re.compile(r"\(|\)|[A-Za-z0-9.+-]+")


def permits(expression, allowed):
    """Whether an SPDX expression can be met with allowed licences. AND binds closer than OR; the old `/` is OR."""
    tokens = TOKEN.findall(expression.replace("/", " OR "))
    position = 0

    def peek():
        return tokens[position] if position < len(tokens) else None

    def take():
        nonlocal position
        position += 1
        return tokens[position - 1]

    def either():
        met = both()
        while peek() == "OR":
            take()
            met = both() or met
        return met

    def both():
        met = one()
        while peek() == "AND":
            take()
            met = one() and met
        return met

    def one():
        if peek() in (None, ")", "OR", "AND", "WITH"):
            raise ValueError(expression)
        name = take()
        if name == "(":
            met = either()
            if peek() != ")":
                raise ValueError(expression)
            take()
            return met
        if peek() == "WITH":
            take()
            name = f"{name} WITH {take()}"
        return name in allowed

    met = either()
    if position != len(tokens):
        raise ValueError(expression)
    return met


def problems(metadata, policy):
    allowed = set(policy["licenses"]["allow"])
    registries = {f"registry+{url}" for url in policy["sources"]["allow-registry"]}
    versions = collections.defaultdict(set)
    for package in metadata["packages"]:
        name = f"{package['name']} {package['version']}"
        versions[package["name"]].add(package["version"])
        if package["source"] is not None and package["source"] not in registries:
            yield f"{name} comes from {package['source']}, which [sources] does not allow"
        if not package["license"]:
            yield f"{name} states no licence"
            continue
        try:
            if not permits(package["license"], allowed):
                yield f"{name} is under {package['license']}, which [licenses] does not allow"
        except ValueError:
            yield f"{name} states a licence that is no SPDX expression: {package['license']}"
    for ban in policy["bans"]["deny"]:
        found = sorted(versions.get(ban["name"], ()))
        if ban.get("deny-multiple-versions"):
            if len(found) > 1:
                yield f"{ban['name']} is there in several versions: {', '.join(found)}"
        elif found:
            yield f"{ban['name']} {found[0]} is banned: {ban['reason']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metadata", type=pathlib.Path)
    options = parser.parse_args()
    if options.metadata:
        text = options.metadata.read_text()
    else:
        command = ["cargo", "metadata", "--format-version", "1", "--locked"]
        text = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout
    metadata = json.loads(text)
    found = list(problems(metadata, tomllib.loads(POLICY.read_text())))
    for line in found:
        print(f"error: {line}", file=sys.stderr)
    if found:
        sys.exit(1)
    print(f"{len(metadata['packages'])} packages: licences, bans and sources hold")


if __name__ == "__main__":
    main()
