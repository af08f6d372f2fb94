"""A browser for tests, without scripts: keeps cookies, follows redirects, sends the forms that it sees."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Self
from urllib.parse import urlencode, urljoin

from tests.http.web import Web
from tests.server import ServerProcess

VOID = ("area", "br", "col", "hr", "img", "input", "link", "meta", "wbr")


@dataclass
class HTMLForm:
    """A form of a page. ``fields``: name -> value, as they are filled in; ``buttons``: their texts."""

    action: str
    method: str
    multipart: bool = False
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    """Takes a page apart. Raises AssertionError where elements do not close as they should."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[HTMLForm] = []
        self.links: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._select = self._area = ""
        self._href: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.tags.append((tag, said))
        if tag not in VOID:
            self.open.append(tag)
        name = said.get("name", "")
        if tag == "form":
            multipart = said.get("enctype") == "multipart/form-data"
            self.forms.append(HTMLForm(said.get("action", ""), said.get("method", "get").lower(), multipart))
        elif tag == "a":
            self._href = said.get("href")
            self.links.append((said.get("href", ""), ""))
        if not self.forms or "form" not in self.open:
            return
        fields = self.forms[-1].fields
        if tag == "input" and name and (said.get("type") != "checkbox" or "checked" in said):
            fields[name] = said.get("value", "")
        elif tag == "textarea":
            self._area, fields[name] = name, ""
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and ("selected" in said or self._select not in fields):
            fields[self._select] = said.get("value", "")
        elif tag == "button":
            self.forms[-1].buttons.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))  # of SVG

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> ends {self.open[-3:]}"
        self.open.pop()
        if tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._area = ""
        elif tag == "a":
            self._href = None

    def handle_data(self, data: str) -> None:
        if "script" in self.open or "style" in self.open:
            return
        self.words.append(data)
        if self._area:
            self.forms[-1].fields[self._area] += data
        if self.forms and "button" in self.open and self.forms[-1].buttons:
            self.forms[-1].buttons[-1] += data
        if self._href is not None:
            href, text = self.links[-1]
            self.links[-1] = href, text + data


class Page:
    """An answer. ``path``: where it came from, after redirects."""

    def __init__(self, path: str, status: int, headers: dict[str, str], body: bytes) -> None:
        self.path, self.status, self.headers, self.body = path, status, headers, body
        self.html = body.decode(errors="replace")
        reader = _Reader()
        if headers.get("content-type", "").startswith("text/html") and not 300 <= status < 400:
            reader.feed(self.html)
            reader.close()
            assert not reader.open, reader.open
        self.forms, self.links, self.tags = reader.forms, reader.links, reader.tags
        self.text = " ".join(" ".join(reader.words).split())

    def form(self, button: str) -> HTMLForm:
        """The form with this button."""
        found = [each for each in self.forms if button in map(str.strip, each.buttons)]
        assert found, f"no button {button!r} among {[each.buttons for each in self.forms]}"
        return found[0]


class Browser:
    """``at``: where the requests say they come from, as a trusted proxy would; empty: from here."""

    def __init__(
        self, server: ServerProcess, kind: str = "https", name: str = "localhost", at: str = ""
    ) -> None:
        self.server, self.kind, self.name, self.at = server, kind, name, at
        self.cookies: dict[str, str] = {}
        self.agent = "tests"
        self.patience = 10.0
        """Seconds for one answer."""
        self.page = Page("", 0, {}, b"")
        self._web: Web | None = None

    def request(
        self, method: str, path: str, body: bytes | None = None, follow: bool = True, **headers: str
    ) -> Page:
        """Sends it, and takes the answer; ``follow``: redirects, too."""
        for _ in range(5):
            headers |= {"User_Agent": self.agent}
            if self.cookies:
                headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            if self.at:
                headers |= {"X_Forwarded_For": self.at, "X_Forwarded_Proto": "https"}
            path = path.replace(" ", "%20")
            said = {name.replace("_", "-"): value for name, value in headers.items()}
            try:
                self._web = self._web or Web(self.server, self.kind, self.name)
                self._web.socket.settimeout(self.patience)
                answer = self._web.request(method, path, body, **said)
            except (OSError, EOFError):  # the server closed the idle connection
                self._web = Web(self.server, self.kind, self.name)
                answer = self._web.request(method, path, body, **said)
            self._keep(answer.headers.get("set-cookie", ""))
            self.page = Page(path, answer.status, answer.headers, answer.body)
            if answer.status not in (301, 302, 303, 307, 308) or not follow:
                break
            path, method, body = urljoin(path, answer.headers["location"]), "GET", None
            headers = {}
        return self.page

    def _keep(self, cookie: str) -> None:
        if cookie:
            first, *rest = cookie.split("; ")
            name, _, value = first.partition("=")
            if "Max-Age=0" in rest:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value

    def get(self, path: str, follow: bool = True, **headers: str) -> Page:
        return self.request("GET", path, None, follow, **headers)

    def post(
        self, path: str, fields: Mapping[str, str], follow: bool = True, multipart: Mapping[str, bytes] | None = None,
        **headers: str,
    ) -> Page:  # fmt: skip
        """``multipart``: files by the names of their fields."""
        if multipart is None:
            type, body = "application/x-www-form-urlencoded", urlencode(fields).encode()
        else:
            mark = secrets.token_hex(8)
            parts = [
                f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
                for name, value in fields.items()
            ] + [
                f'--{mark}\r\nContent-Disposition: form-data; name="{name}"; filename="file"\r\n\r\n'.encode()
                + data
                + b"\r\n"
                for name, data in multipart.items()
            ]
            type, body = f"multipart/form-data; boundary={mark}", b"".join(parts) + f"--{mark}--\r\n".encode()
        headers.setdefault("Origin", f"{self.kind}://{self.name}")
        headers.setdefault("Sec_Fetch_Site", "same-origin")
        return self.request("POST", path, body, follow, Content_Type=type, **headers)

    def send(self, button: str, follow: bool = True, **fields: str) -> Page:
        """Fills in the form with this button on the page, and presses it."""
        form = self.page.form(button)
        path = urljoin(self.page.path, form.action) if form.action else self.page.path
        values = form.fields | fields
        if form.method == "get":
            return self.get(f"{path.partition('?')[0]}?{urlencode(values)}", follow)
        return self.post(path, values, follow, {} if form.multipart else None)

    def click(self, text: str) -> Page:
        """Follows the link with this text."""
        found = [href for href, said in self.page.links if " ".join(said.split()) == text]
        assert found, f"no link {text!r} among {self.page.links}"
        return self.get(urljoin(self.page.path, found[0]))

    def sign_in(self, address: str, password: str = "secret", code: str = "") -> Self:
        """Signs in; an AssertionError if the server refuses."""
        self.get("/sign-in")
        self.send("Sign in", address=address, password=password, code=code)
        assert self.page.path != "/sign-in", self.page.text
        return self

    def close(self) -> None:
        if self._web is not None:
            self._web.close()
