"""Chromium without a window, told what to do by the DevTools protocol, and a site for it."""

import base64
import itertools
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.pywsgi import WSGIServer
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Ping, Request, TextMessage

PATIENCE = 60.0
"""Seconds, on a busy machine."""
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json"}


class Site:
    """Serves the files of a folder, and ``page`` at its root."""

    def __init__(self, folder: Path, page: str) -> None:
        self.folder, self.page = folder.resolve(), page.encode()
        self.server = WSGIServer(("127.0.0.1", 0), self.answer, log=None)
        self.server.start()
        self.url = f"http://localhost:{self.server.server_port}/"

    def answer(self, environ: dict[str, Any], start: Any) -> list[bytes]:
        path = environ["PATH_INFO"]
        if path == "/":
            start("200 OK", [("Content-Type", "text/html; charset=utf-8")])
            return [self.page]
        file = (self.folder / path.lstrip("/")).resolve()
        if not file.is_relative_to(self.folder) or not file.is_file():
            start("404 Not Found", [])
            return [b""]
        start("200 OK", [("Content-Type", TYPES.get(file.suffix, "application/octet-stream"))])
        return [file.read_bytes()]

    def close(self) -> None:
        self.server.stop()


class Chromium:
    """One browser with one page. Skipped where it is not installed."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("chromium")
        if program is None:
            pytest.skip("chromium is not installed")
        switches = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                    "--ignore-certificate-errors", "--remote-debugging-port=0", "--remote-allow-origins=*",
                    "--window-size=1200,800", f"--user-data-dir={folder}")  # fmt: skip
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen([program, *switches, "about:blank"], stdout=self.log, stderr=self.log)
        self.numbers = itertools.count(1)
        self.answers: dict[int, Any] = {}
        self.said: list[str] = []
        self.text = ""
        port, path = self._address(folder / "DevToolsActivePort")
        self.socket = gevent.socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.socket.sendall(self.ws.send(Request(host=f"127.0.0.1:{port}", target=path)))
        self._hear(AcceptConnection)
        target = next(
            each for each in self.call("Target.getTargets")["targetInfos"] if each["type"] == "page"
        )
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self.session = attached["sessionId"]
        self.call("Runtime.enable")
        self.call("Page.enable")

    session = ""

    def _address(self, file: Path) -> tuple[int, str]:
        with gevent.Timeout(PATIENCE, AssertionError("chromium does not start")):
            while not (file.exists() and file.read_text().count("\n")):
                assert self.process.poll() is None, "chromium ended"
                gevent.sleep(0.05)
        port, path = file.read_text().split("\n")[:2]
        return int(port), path

    def _hear(self, kind: type | None = None) -> None:
        """One read; with ``kind`` until such an event came."""
        heard = False
        while not heard:
            data = self.socket.recv(1 << 20)
            assert data, "chromium has closed"
            self.ws.receive_data(data)
            for event in self.ws.events():
                heard = heard or isinstance(event, kind or TextMessage)
                if isinstance(event, Ping):
                    self.socket.sendall(self.ws.send(event.response()))
                if isinstance(event, TextMessage):
                    self.text += event.data
                    if event.message_finished:
                        self._take(json.loads(self.text))
                        self.text = ""

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self.answers[message["id"]] = message
        elif message["method"] == "Runtime.consoleAPICalled":
            self.said.append(
                " ".join(str(each.get("value", "")) for each in message["params"]["args"])[:2000]
            )
        elif message["method"] == "Runtime.exceptionThrown":
            self.said.append(f"exception: {message['params']['exceptionDetails']}"[:2000])

    def call(self, method: str, **params: Any) -> Any:
        number = next(self.numbers)
        said = {"id": number, "method": method, "params": params}
        if self.session:
            said["sessionId"] = self.session
        self.socket.sendall(self.ws.send(TextMessage(data=json.dumps(said))))
        while number not in self.answers:
            self._hear()
        answer = self.answers.pop(number)
        assert "error" not in answer, answer
        return answer["result"]

    def go(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def evaluate(self, script: str) -> Any:
        """The value of an expression; of a promise, what it becomes."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script: str) -> Any:
        """Until the expression is true; an exception is not."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = self.evaluate(
                f"(async () => {{ try {{ return await ({script}); }} catch {{ return false; }} }})()"
            )
            if found:
                return found
            assert time.monotonic() < deadline, f"never: {script}; the page said {self.said[-30:]}"
            gevent.sleep(0.1)

    def screenshot(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()
