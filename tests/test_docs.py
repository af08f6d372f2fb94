"""docs/protocols.md says what is offered: each protocol with the version and what is left out."""

import re

import pytest

from jabberd_py.ctl import docs
from jabberd_py.modules import load_all
from jabberd_py.xmpp.protocols import RFC, XEP


def test_a_protocol_is_listed_with_its_version_and_what_is_left_out(monkeypatch):
    declared = [
        (XEP(199, "2.0.1", "XMPP Ping"), "a/ping.py"),
        (XEP(45, "1.35.3", "Multi-User Chat", missing="voice requests"), "a/muc.py"),
        (RFC(6120, "XMPP: core"), "a/one.py"),
        (RFC(6120, "XMPP: core", missing="nothing much"), "a/two.py"),
    ]
    monkeypatch.setattr(docs, "offered", lambda: iter(declared))
    rows = [line for line in docs.protocols().splitlines() if line.startswith("| [")]
    assert [row.split("]")[0] for row in rows] == ["| [RFC 6120", "| [XEP-0045", "| [XEP-0199"]
    assert "| nothing much | [`one.py`](../a/one.py), [`two.py`](../a/two.py) |" in rows[0]
    assert "| 1.35.3 | Multi-User Chat | voice requests |" in rows[1]
    declared.append((XEP(199, "2.0", "XMPP Ping"), "a/other.py"))
    with pytest.raises(ValueError, match="XEP-0199"):
        docs.protocols()


def test_words_in_docstrings_claim_nothing():
    """Only what is declared is listed: RFC 9266, say, as soon as clients are offered tls-exporter."""
    offered = {protocol.name for protocol, _ in docs.offered()}
    assert {"RFC 6120", "RFC 6121", "XEP-0198", "XEP-0313"} <= offered
    assert ("RFC 9266" in offered) == ("tls-exporter" in (docs.PACKAGE / "c2s/negotiate.py").read_text())


def test_what_service_discovery_announces_says_which_protocol_it_is():
    announced = [kind for kind in load_all().values() if kind.features or kind.account_features]
    assert [kind.name for kind in announced if not kind.protocols] == []


# -- pages that people write --------------------------------------------------------------------------

ROOT = docs.PACKAGE.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = re.compile(r"`((?:[\w.-]+/)*[\w-]+\.py)`")
LINKS = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def test_the_service_to_copy_is_the_one_that_runs():
    """tests/test_services.py talks to it."""
    page = (ROOT / "docs/writing-a-service.md").read_text()
    code = (docs.PACKAGE / "services/echo.py").read_text()
    assert f"```python\n{code}```" in page
    assert len(code.splitlines()) < 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_files_that_exist(page):
    text = page.read_text()
    here = [ROOT, docs.PACKAGE, page.parent]
    known = {file.name for file in docs.PACKAGE.rglob("*.py")}
    for name in NAMES.findall(text):
        assert any((folder / name).exists() for folder in here) or "/" not in name and name in known, name
    for link in LINKS.findall(text):
        assert (page.parent / link).exists(), link
