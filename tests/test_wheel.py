"""The wheel brings the package yt8m alone, whole."""

import configparser
import subprocess
import sys
import zipfile

import pytest

from tests.helpers import ROOT


@pytest.mark.slow
def test_what_is_installed(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        (entries,) = [name for name in names if name.endswith("entry_points.txt")]
        scripts = configparser.ConfigParser()
        scripts.read_string(file.read(entries).decode())
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"yt8m"}
    assert {"yt8m/py.typed", "yt8m/report/templates/page.html"} <= set(names)
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "yt8m").rglob("*.py")}
    assert sources == {name for name in names if name.endswith(".py")}
    assert all(target.startswith("yt8m.commands.") for target in scripts["console_scripts"].values())
