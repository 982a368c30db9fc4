"""Shim of yt8m/commands/adapt.py, for use from a checkout; installed as yt8m-adapt."""

from yt8m.commands.adapt import run

if __name__ == "__main__":
    run()
