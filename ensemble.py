"""Shim of yt8m/commands/ensemble.py, for use from a checkout; installed as yt8m-ensemble."""

from yt8m.commands.ensemble import run

if __name__ == "__main__":
    run()
