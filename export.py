"""Shim of yt8m/commands/export.py, for use from a checkout; installed as yt8m-export."""

from yt8m.commands.export import run

if __name__ == "__main__":
    run()
