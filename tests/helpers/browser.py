"""A headless Chromium driven over a pipe: what a page says, how it looks, what a click does."""

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile


def find_chromium():
    """Path of a Chromium, None where there is none; the environment variable CHROMIUM may name one."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome", "chrome")
    return next(filter(None, map(shutil.which, filter(None, names))), None)


@contextlib.contextmanager
def open_page(path, *, width, height, dark=False, phone=False):
    """Context manager: the Page at ``path`` in a window of its own, without a network."""
    to_browser, from_us = os.pipe()
    from_browser, to_us = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # Chromium reads commands from descriptor 3 and answers on 4.
        command = (
            'exec 3<&"$0" 4>&"$1"; shift; exec "$@" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage '
            "--remote-debugging-pipe --host-resolver-rules='MAP * ~NOTFOUND' about:blank"
        )
        arguments = ["bash", "-c", command, str(to_browser), str(to_us), find_chromium(), f"--user-data-dir={profile}"]
        process = subprocess.Popen(
            arguments, pass_fds=(to_browser, to_us), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(to_us)
        try:
            yield Page(from_us, from_browser, path, width=width, height=height, dark=dark, phone=phone)
        finally:
            process.kill()
            process.wait()
            os.close(from_us)
            os.close(from_browser)


class Page:
    """An open page. errors: texts of exceptions and of errors on its console; requests: addresses that it asked for."""

    def __init__(self, commands, answers, path, *, width, height, dark, phone):
        self.errors, self.requests = [], []
        self._commands, self._answers = commands, answers
        self._numbers, self._buffer, self._session, self._loaded = itertools.count(1), b"", None, False
        targets = self._call("Target.getTargets")["targetInfos"]
        target = next(item["targetId"] for item in targets if item["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Network", "Page"):
            self._call(f"{domain}.enable")
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._call("Page.navigate", url=f"file://{path}")
        while not self._loaded:
            self._receive()

    def evaluate(self, expression):
        """The JSON value of a JavaScript expression."""
        result = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def move(self, x, y):
        """Moves the pointer there, in pixels of the window."""
        self._call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, selector):
        """Clicks the middle of the first element that ``selector`` finds, as a mouse does."""
        x, y = self.middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def middle(self, selector):
        """(x, y) of the middle of the first element that ``selector`` finds, which is scrolled to."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{found}.scrollIntoView({{block: 'center'}})")
        box = self.evaluate(f"JSON.parse(JSON.stringify({found}.getBoundingClientRect()))")
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def screenshot(self, path, *, whole=True):
        """Writes a PNG."""
        data = self._call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def print(self):
        """Bytes of the PDF that printing gives."""
        return base64.b64decode(self._call("Page.printToPDF", printBackground=False)["data"])

    def _call(self, method, **parameters):
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        text = json.dumps(message).encode() + b"\0"
        while text:
            text = text[os.write(self._commands, text) :]
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _receive(self):
        while b"\0" not in self._buffer:
            part = os.read(self._answers, 1 << 16)
            assert part, "the browser has ended"
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method, event):
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(event["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(event["args"]))
        elif method == "Log.entryAdded" and event["entry"]["level"] in ("error", "warning"):
            self.errors.append(event["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])
