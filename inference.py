"""Shim of yt8m/commands/inference.py, for use from a checkout; installed as yt8m-inference."""

from yt8m.commands.inference import run

if __name__ == "__main__":
    run()
