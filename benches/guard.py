#!/usr/bin/env python3
"""What got slower between a revision and the tree as it is.

    guard.py REVISION WORK [--rounds 5] [--calls pipelines/demo/audio] [--without-asr]

Builds both (the revision in a worktree below WORK with a target folder of its own, copied from the tree's at first, so that
only this project's crates are compiled twice) and prints:

* of each stage that is pure computation the instructions that one run takes, counted by callgrind: the same on every
  run, whatever else the machine does. What a run costs is the difference of 2 and 1 (of 3 and 1 for scoring), so that
  start and input do not count.
* of transcription the wall clock of `callmark score` on the same calls, in turns, as many rounds as said: the median of
  the ratios within a round, the least and the greatest.

A stage is slower where it takes more than 1 % more instructions; transcription, where the median of the ratios is above
1.05 and all of them are above 1. Exit status 1 where something is slower, 2 where a tree cannot be built.
"""
import argparse, os, pathlib, re, shutil, statistics, subprocess, sys, time

STAGES = {"decode": (1, 2), "measure": (1, 2), "score": (1, 3), "write": (1, 2)}
MORE_INSTRUCTIONS, MORE_TIME = 1.01, 1.05
BUILD = ["cargo", "test", "--release", "--workspace", "--no-run", "--quiet"]
PROGRAMS = {"callmark": "callmark", "stage": "examples/stage"}


def run(command, **more):
    return subprocess.run([str(part) for part in command], check=True, **more)


def build(tree, target, into):
    """Both programs of a tree, copied to `into`."""
    run(BUILD, cwd=tree, env={**os.environ, "CARGO_TARGET_DIR": str(target)})
    into.mkdir(parents=True, exist_ok=True)
    for name, path in PROGRAMS.items():
        shutil.copy2(target / "release" / path, into / name)


def worktree(revision, at):
    if at.exists():
        subprocess.run(["git", "worktree", "remove", "--force", str(at)], check=False, capture_output=True)
        shutil.rmtree(at, ignore_errors=True)
    run(["git", "worktree", "prune"])
    run(["git", "worktree", "add", "--detach", "--force", at, revision], capture_output=True)
    # A revision from before there was such a program is measured by today's, where it compiles.
    for path in ("benches/examples/stage.rs", "benches/inputs.rs"):
        if not (at / path).exists():
            shutil.copy2(path, at / path)


def instructions(program, stage, times):
    out = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program), stage, str(times)],
                         check=True, capture_output=True, text=True).stderr
    return int(re.search(r"Collected : (\d+)", out).group(1))


def cost(program, stage):
    few, more = STAGES[stage]
    return (instructions(program, stage, more) - instructions(program, stage, few)) / (more - few)


def score(program, calls, dataset):
    shutil.rmtree(dataset, ignore_errors=True)
    begun = time.monotonic()
    run([program, "score", calls, "--out", dataset], capture_output=True)
    return time.monotonic() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", default="pipelines/demo/audio")
    parser.add_argument("--without-asr", action="store_true")
    options = parser.parse_args()
    os.chdir(subprocess.run(["git", "rev-parse", "--show-toplevel"], check=True, capture_output=True, text=True).stdout.strip())
    work = options.work.resolve()
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")).resolve()
    before, after, target_before = work / "before", work / "after", work / "target"
    try:
        worktree(options.revision, work / "tree")
        # In one folder the later build would take the other's programs for its own.
        if target.exists() and not target_before.exists():
            run(["cp", "-a", "--reflink=auto", target, target_before])
        build(work / "tree", target_before, before)
        build(pathlib.Path("."), target, after)
    except subprocess.CalledProcessError as error:
        print(f"cannot be built: {error}", file=sys.stderr)
        return 2
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(work / "tree")], check=False, capture_output=True)

    if all((before / name).read_bytes() == (after / name).read_bytes() for name in PROGRAMS):
        print("both trees make the same programs: there is nothing to compare")
        return 0
    slower = []
    print(f"| stage | {options.revision}: instructions | now | ratio |")
    print("| --- | --- | --- | --- |")
    for stage in STAGES:
        old, new = (cost(folder / "stage", stage) for folder in (before, after))
        print(f"| {stage} | {old:,.0f} | {new:,.0f} | {new / old:.3f} |")
        if new / old > MORE_INSTRUCTIONS:
            slower.append(stage)
    if not options.without_asr:
        pairs = []
        for turn in range(options.rounds):
            order = (before, after) if turn % 2 == 0 else (after, before)
            took = {folder: score(folder / "callmark", options.calls, work / "dataset") for folder in order}
            pairs.append((took[before], took[after]))
        ratios = [new / old for old, new in pairs]
        median = statistics.median(ratios)
        olds, news = (statistics.median(column) for column in zip(*pairs))
        print(f"| transcription of {options.calls}, median of {options.rounds} | {olds:.1f} s | {news:.1f} s | "
              f"{median:.3f} ({min(ratios):.3f} to {max(ratios):.3f}) |")
        if median > MORE_TIME and min(ratios) > 1:
            slower.append("transcription")
    print(f"\nslower: {', '.join(slower)}" if slower else "\nnothing got slower")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
