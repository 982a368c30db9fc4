"""A stand-in for RapidOCR, which reads the brightness of pictures, where the package itself is not the point."""

import importlib
import sys

import pytest

_CODE = """
import types
import numpy as np

class RapidOCR:
    calls = 0

    def __init__(self, params):
        self.params = params

    def __call__(self, picture):
        RapidOCR.calls += 1
        level = round(float(picture.mean()) / 50)
        lines = {texts}[level] if level < {count} else []
        if not lines:
            return types.SimpleNamespace(txts=None, boxes=None, scores=None)
        tops = [10 * place for place in range(len(lines))]
        boxes = np.array([[[0, top], [9, top], [9, top + 8], [0, top + 8]] for top in tops], float)
        return types.SimpleNamespace(txts=tuple(lines), boxes=boxes, scores=tuple(0.9 for _ in lines))
"""


def use_fake_ocr(folder, monkeypatch, texts):
    """Makes ``import rapidocr`` give a stand-in that reads ``texts[k]``, a list of lines, in a picture of grey 50 k."""
    package = folder / "packages" / "rapidocr"
    (package / "models").mkdir(parents=True)
    for part in ("det", "rec"):
        (package / "models" / f"PP_{part}_small.onnx").write_bytes(part.encode())
    (package / "__init__.py").write_text(_CODE.format(texts=repr(texts), count=len(texts)))
    info = folder / "packages" / "rapidocr-3.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rapidocr\nVersion: 3.9\n")
    monkeypatch.syspath_prepend(str(folder / "packages"))
    # Set first, so that what was there, if anything, is there again after the test.
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    del sys.modules["rapidocr"]
    importlib.invalidate_caches()
    return importlib.import_module("rapidocr").RapidOCR


def import_ocr():
    """RapidOCR's package; skips the test where it is not installed."""
    return pytest.importorskip("rapidocr", reason="RapidOCR is not installed: pip install -e '.[ocr]'")
