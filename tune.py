"""Shim of yt8m/commands/tune.py, for use from a checkout; installed as yt8m-tune."""

from yt8m.commands.tune import run

if __name__ == "__main__":
    run()
