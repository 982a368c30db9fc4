"""Commands in documents: what stands in their ``sh`` blocks, and how a test runs it as a reader would."""

import configparser
import re
import subprocess
import sys

from tests.helpers import ROOT

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(document):
    """The text of all ``sh`` blocks of a document, a path under the repository's root, as one script."""
    blocks = _BLOCK.findall((ROOT / document).read_text())
    assert blocks, f"{document} has no block of sh"
    return "".join(blocks)


def console_scripts():
    """Dict of each command that the package installs to its module."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    lines = settings["options.entry_points"]["console_scripts"].split("\n")
    return {
        name.strip(): entry.strip().removesuffix(":run")
        for name, _, entry in (line.partition("=") for line in lines)
        if entry
    }


def run_document(document, folder, *, timeout):
    """Runs the commands of a document in ``folder``, unchanged, and returns what they print.

    The folder gets what a reader's checkout has: .venv, the scripts, the examples.
    """
    (folder / ".venv").symlink_to(sys.prefix)
    for path in [*ROOT.glob("*.py"), ROOT / "examples", ROOT / "yt8m"]:
        (folder / path.name).symlink_to(path)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands(document)],
        cwd=folder, capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout
