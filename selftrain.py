"""Shim of yt8m/commands/selftrain.py, for use from a checkout; installed as yt8m-selftrain."""

from yt8m.commands.selftrain import run

if __name__ == "__main__":
    run()
