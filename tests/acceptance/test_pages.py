"""README.md and docs/first-hour.md, done literally by somebody who has nothing but the page."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Clone
from tests.acceptance.pages import Terminals, blocks
from tests.client import Client
from tests.server import ROOT

pytestmark = pytest.mark.timeout(600)  # pip, twice

# A machine may have other servers on the usual ports.
PORTS = {f"JABBERD_{section}__{name}": value for section, names in
         {"C2S": ("ADDRESS", "PORT", "DIRECT_PORT"), "S2S": ("ADDRESS", "PORT")}.items()
         for name in names for value in ["127.0.0.1" if name == "ADDRESS" else "0"]}  # fmt: skip


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Callable[[Path], Terminals]]:
    opened: list[Terminals] = []
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")
    empty = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "TERM": "dumb", "LANG": "C.UTF-8"}

    def start(folder: Path) -> Terminals:
        opened.append(Terminals(folder, empty | PORTS))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def port(said: str) -> tuple[str, int]:
    found = re.search(r"^listening c2s (\S+) (\d+)$", said, re.M)
    assert found, said
    return found[1], int(found[2])


def test_the_readme(terminals: Callable[[Path], Terminals], tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    terminal = terminals(folder)
    clone, account, look = blocks(ROOT / "README.md")
    assert "<this repository>" in clone
    said = terminal.type(clone.replace("<this repository>", str(ROOT)))
    assert "accounts add you@localhost" in said
    terminal.folder = folder / "jabberd_py"
    terminal.type(account)
    found = terminal.type(look)
    assert "you@localhost" in found
    client = Client(port(said), "localhost").connect()
    client.login("you", "a good password").close()


def test_the_first_hour(terminals: Callable[[Path], Terminals], tmp_path: Path) -> None:
    terminal = terminals(Clone(tmp_path / "jabberd_py").path)
    said: list[str] = []
    for block in blocks(ROOT / "docs/first-hour.md"):
        said.append(terminal.type(block))
        if "jabberctl stop" in block:
            assert terminal.ended() == 0
    everything = "\n".join(said)
    assert "you@localhost" in everything and "you@example.org" in said[-1]  # back from the backup
    assert "jabberd.yaml:4: hosts.example.org.admin: no such option (did you mean 'admins'?)" in everything


def test_every_page_is_linked_and_every_link_is_a_page() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    linked = set()
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
            linked.add((page.parent / target).resolve())
    assert {page for page in pages[1:] if page.resolve() not in linked} == set()
