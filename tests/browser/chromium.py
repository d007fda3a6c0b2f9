"""A headless Chromium, driven by its DevTools protocol over a pair of pipes: what a person does, and what they see.

Source: https://chromedevtools.github.io/devtools-protocol/ and Chromium's `--remote-debugging-pipe`, where each message
is JSON that ends with a zero byte, and the browser reads descriptor 3 and writes descriptor 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LONGEST = 60
"""Seconds that an answer may take on a machine that is busy otherwise."""
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=1",
    "--remote-debugging-pipe",
)
KEY_CODES = {"Enter": 13, "Escape": 27, "End": 35, "Home": 36, "ArrowUp": 38, "ArrowDown": 40, "Tab": 9}
CONTROL = 2


def find_browser() -> str | None:
    """The path of a browser, None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A process; `page` opens what it shows."""

    def __init__(self, program: str, folder: Path) -> None:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        # The descriptors have to be 3 and 4, whatever numbers they have here.
        script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", program, *OPTIONS, f"--user-data-dir={folder}", "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer = b""
        self._number = 0
        self.listeners: dict[str, Page] = {}

    def ask(self, method: str, session: str | None = None, /, **parameters: Any) -> Any:
        """Carry out a command and return its result."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        text = json.dumps(message).encode() + b"\0"
        while text:
            text = text[os.write(self._out, text) :]
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _read(self) -> dict[str, Any]:
        """The next message; those that nobody asked for go to their page."""
        deadline = time.monotonic() + LONGEST
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            chunk = os.read(self._in, 1 << 20)
            assert chunk, "the browser ended"
            self._buffer += chunk
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if "method" in message and message.get("sessionId") in self.listeners:
            self.listeners[message["sessionId"]].hear(message["method"], message["params"])
        return message

    def page(self, width: int = 1280, height: int = 800, *, dark: bool = False) -> Page:
        """An empty page of that size, in pixels."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.listeners[session] = Page(self, session, target)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.ask(f"{domain}.enable")
        page.resize(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.ask("Emulation.setEmulatedMedia", features=[scheme])
        return page

    def close(self) -> None:
        """End the process."""
        os.close(self._out)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._in)


class Page:
    """One page: what it was made to show, and what went wrong with it."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser = browser
        self._session = session
        self._target = target
        self.complaints: list[Any] = []
        """Errors and warnings on the page's console."""
        self.requests: list[str] = []
        """What was asked for, the page itself among it."""
        self._loaded = False

    def ask(self, method: str, /, **parameters: Any) -> Any:
        """A command to this page."""
        return self._browser.ask(method, self._session, **parameters)

    def hear(self, method: str, parameters: dict[str, Any]) -> None:
        """What the browser tells of it."""
        if method in ("Runtime.exceptionThrown", "Log.entryAdded") or (
            method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert")
        ):
            self.complaints.append(parameters)
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Page.loadEventFired":
            self._loaded = True

    def open(self, path: Path, fragment: str = "") -> None:
        """Show a file, and wait until it is there."""
        self._loaded = False
        self.ask("Page.navigate", url=path.as_uri() + fragment)
        while not self._loaded:
            self._browser._read()
        self.settle()

    def resize(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Give the page another size; `mobile` is one with a touch screen."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.ask("Emulation.setTouchEmulationEnabled", enabled=mobile)

    def settle(self) -> None:
        """Wait until what was done can be seen."""
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript, as JSON has it."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """What is written in an element."""
        text: str = self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")
        return text

    def middle(self, selector: str, share: float = 0.5) -> tuple[float, float]:
        """Where an element is on the screen: in its middle across, at that share of its height."""
        x, y = self.evaluate(
            f"(box => [box.x + box.width / 2, box.y + box.height * {share}])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        return x, y

    # What a person does

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """One event of the mouse."""
        self.ask("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **more)

    def point(self, x: float, y: float) -> None:
        """Move the pointer there."""
        self.mouse("Moved", x, y)
        self.settle()

    def click(self, x: float, y: float) -> None:
        """Press and let go."""
        self.mouse("Moved", x, y)
        self.mouse("Pressed", x, y, button="left", buttons=1, clickCount=1)
        self.mouse("Released", x, y, button="left", clickCount=1)
        self.settle()

    def drag(self, x: float, y: float, down: float) -> None:
        """Press, move down, and let go."""
        self.mouse("Pressed", x, y, button="left", buttons=1, clickCount=1)
        for part in range(1, 6):
            self.mouse("Moved", x, y + down * part / 5, button="left", buttons=1)
        self.mouse("Released", x, y + down, button="left", clickCount=1)
        self.settle()

    def wheel(self, x: float, y: float, down: float, *, control: bool = False) -> None:
        """Turn the wheel."""
        self.mouse("Wheel", x, y, deltaX=0, deltaY=down, modifiers=CONTROL if control else 0)
        self.settle()

    def pinch(self, x: float, y: float, factor: float) -> None:
        """Move two fingers apart, or together."""
        for share in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
            apart = 60 * (1 + (factor - 1) * share)
            points = [{"x": x, "y": y - apart / 2, "id": 0}, {"x": x, "y": y + apart / 2, "id": 1}]
            kind = "touchMove" if share else "touchStart"
            self.ask("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        self.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.settle()

    def press(self, key: str) -> None:
        """Press a key."""
        typed = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        code = KEY_CODES.get(key, 0)
        self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **typed)
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)
        self.settle()

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.ask("Input.insertText", text=text)
        self.settle()

    # What a person gets

    def screenshot(self, path: Path) -> None:
        """A PNG of what is to be seen."""
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))

    def pdf(self) -> bytes:
        """What the page is on paper."""
        return base64.b64decode(self.ask("Page.printToPDF", printBackground=True)["data"])

    def names(self) -> list[tuple[str, str]]:
        """Role and name of all that a screen reader finds."""
        nodes = self.ask("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")
        ]

    def close(self) -> None:
        """Forget it."""
        del self._browser.listeners[self._session]
        self._browser.ask("Target.closeTarget", targetId=self._target)
