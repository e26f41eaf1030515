"""Conversations that benches ask about, made once and kept."""
import subprocess


def conversations(callmark, folder, calls):
    """The dataset of so many simulated conversations in `folder`."""
    dataset = folder / f"simulated-{calls}"
    if not (dataset / "truth.json").exists():
        subprocess.run([callmark, "simulate", "--calls", str(calls), "--conversations", "--out", dataset], check=True,
                       stdout=subprocess.DEVNULL)
    return dataset
