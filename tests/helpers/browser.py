"""A headless Chromium for tests of HTML pages, spoken to through a pipe in its own DevTools protocol."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

#: Become the browser with the pipes at descriptors 3 and 4, where it reads commands and writes answers.
_LAUNCH = """
import fcntl, os, sys
for pipe, number in [(fcntl.fcntl(int(pipe), fcntl.F_DUPFD, 10), 3 + i) for i, pipe in enumerate(sys.argv[1:3])]:
    os.dup2(pipe, number)
os.execv(sys.argv[3], sys.argv[3:])
"""


@contextmanager
def browser(width: int = 1400, height: int = 900) -> Iterator[Page]:
    """A page in a browser of its own; the calling test is skipped where there is no Chromium."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(f"needs a Chromium in PATH ({', '.join(_NAMES)}), such as Debian's package 'chromium'")
    commands_out, commands_in = os.pipe()
    answers_out, answers_in = os.pipe()
    # ignore_cleanup_errors: the browser's helpers may still write while they end.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = (
            "about:blank --headless=new --remote-debugging-pipe --no-sandbox --disable-gpu --disable-dev-shm-usage "
            f"--no-first-run --disable-background-networking --user-data-dir={profile}"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, str(commands_out), str(answers_in), program, *options.split()],
            pass_fds=(commands_out, answers_in), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": profile}, # where it would leave folders, as it is ended with its work undone
        )  # fmt: skip
        os.close(commands_out)
        os.close(answers_in)
        try:
            with os.fdopen(commands_in, "wb", buffering=0) as writer, os.fdopen(answers_out, "rb") as reader:
                yield Page(reader, writer, width, height)
        finally:
            process.terminate()
            process.wait(20)


class Page:
    """One tab.

    Attributes:
        errors: What the page's console said of errors, so far.
        requests: Addresses the page asked for, so far.
    """

    def __init__(self, reader: Any, writer: Any, width: int, height: int) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._reader, self._writer = reader, writer
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self._buffer = b""
        self._loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the DevTools protocol and give its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._writer.write(json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != number:
            self._note(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, path: Path) -> None:
        """Open a file and wait until it is loaded."""
        self._loaded = False
        self.call("Page.navigate", url=path.absolute().as_uri())
        while not self._loaded:
            self._note(self._read())

    def run(self, script: str) -> Any:
        """Value of a JavaScript expression; promises are waited for."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def settle(self) -> None:
        """Wait until the page has been drawn and its images are decoded."""
        frames = "requestAnimationFrame(() => requestAnimationFrame(done))"
        self.run(f"new Promise((done) => {frames})")
        self.run("Promise.all([...document.images].filter((i) => !i.hidden).map((i) => i.decode()))")
        self.run(f"new Promise((done) => {frames})")

    def press(self, key: str, code: int) -> None:
        """Press a key: its name and its Windows key code."""
        text = key if len(key) == 1 else "\r" if key == "Enter" else ""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, text=text)

    def tab_through(self, presses: int) -> set[str]:
        """Press Tab so often; gives the beginning of each element that had the focus, as HTML."""
        reached = set()
        for _ in range(presses):
            self.press("Tab", 9)
            reached.add(self.run("document.activeElement.outerHTML.slice(0, 200)"))
        return reached

    def drag(self, x: float, y: float, to_x: float, to_y: float) -> None:
        """Press the mouse at one point, move to another, and release."""
        steps = [("mousePressed", x, y), ("mouseMoved", to_x, to_y), ("mouseReleased", to_x, to_y)]
        for kind, at_x, at_y in steps:
            self.call("Input.dispatchMouseEvent", type=kind, x=at_x, y=at_y, button="left", buttons=1, clickCount=1)

    def prefer(self, color_scheme: str) -> None:
        """Say which colours the reader prefers: ``dark`` or ``light``."""
        features = [{"name": "prefers-color-scheme", "value": color_scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, path: Path | None = None) -> bytes:
        """What the window shows, as PNG."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        if path is not None:
            path.write_bytes(data)
        return data

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not (part := self._reader.read1(1 << 16)):
                raise RuntimeError("The browser ended.")
            self._buffer += part
        message, self._buffer = self._buffer.split(b"\0", 1)
        decoded: dict[str, Any] = json.loads(message)
        return decoded

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Runtime.exceptionThrown":
                self.errors.append(str(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning", "assert"):
                self.errors.append(str(parameters["args"]))
            case "Log.entryAdded" if parameters["entry"]["level"] in ("error", "warning"):
                self.errors.append(parameters["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
