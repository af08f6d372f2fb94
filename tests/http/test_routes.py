"""Which page answers a path. No server is needed for it."""

from typing import Any

import pytest

from jabberd_py.admin.routes import Table
from jabberd_py.http.routes import Routes
from jabberd_py.instance import Instance
from jabberd_py.pages import Answer, Page, Request
from jabberd_py.router import Router

DEEP = "/a/b/c/d/e/f/g/h"


def asked(path: str) -> Request:
    return Request(
        {"REQUEST_METHOD": "GET", "PATH_INFO": path, "REMOTE_ADDR": "192.0.2.1", "wsgi.url_scheme": "https"}
    )


@pytest.fixture
def routes() -> Routes:
    router = Router()
    found = Routes(router)
    for page in (
        Page("/"),
        Page("/health"),
        Page("/files", below=True),
        Page("/files/new"),
        Page(DEEP, below=True),
        Page(DEEP + "/i/j"),
    ):
        found.add(page, lambda request, path=page.path: Answer(200, f"{path}|{request.below}".encode()))
    router.add(Instance(router, "localhost"))
    return found


@pytest.mark.parametrize(("path", "said"), [
    ("/", b"/|"), ("/health", b"/health|"), ("/files", b"/files|"), ("/files/", b"/files|/"), ("/files/a/b", b"/files|/a/b"),
    ("/files/new", b"/files/new|"), ("/files/new/a", b"/files|/new/a"), ("/files" + 20 * "/x", b"/files|" + 20 * b"/x"),
    (DEEP, DEEP.encode() + b"|"), (DEEP + "/x/y", DEEP.encode() + b"|/x/y"), (DEEP + "/i/j", DEEP.encode() + b"/i/j|"),
])  # fmt: skip
def test_a_page_answers_for_what_is_below_it(routes, path, said):
    assert routes.answer(asked(path)).body == said


@pytest.mark.parametrize("path", ["/health/", "/health/a", "//health", "/x", "", "/filesx", 8000 * "/"])
def test_no_page(routes, path):
    assert routes.answer(asked(path)).status == 404


class Looked(dict[str, Any]):
    """Counts how often something is looked for."""

    times = 0

    def __contains__(self, key: object) -> bool:
        self.times += 1
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.times += 1
        return super().get(key, default)


def test_a_path_of_thousands_of_slashes_is_looked_for_a_few_times(routes):
    """8 KB of slashes took 15 ms for each domain: a look-up for each slash, each with a hash of the whole path."""
    routes.own = looked = Looked(routes.own)
    assert routes.answer(asked(8000 * "/")).status == 404
    assert 0 < looked.times < 30
    table = Table([])
    table.items = looked = Looked(table.items)
    assert table.find(8000 * "/") == ({}, "")
    assert 0 < looked.times < 30


def test_a_page_is_not_deeper_than_is_looked_for(routes):
    with pytest.raises(ValueError, match="at most 8"):
        Page(DEEP + "/i", below=True).check()
    Page(DEEP + "/i").check()
