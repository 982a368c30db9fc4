"""Shim of yt8m/commands/eval.py, for use from a checkout; installed as yt8m-eval."""

from yt8m.commands.eval import run

if __name__ == "__main__":
    run()
