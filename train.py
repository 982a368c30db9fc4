"""Shim of yt8m/commands/train.py, for use from a checkout; installed as yt8m-train."""

from yt8m.commands.train import run

if __name__ == "__main__":
    run()
