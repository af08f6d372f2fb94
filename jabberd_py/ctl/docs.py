"""Documentation that is made from the code: ``python -m jabberd_py.ctl.docs docs|conf|check``."""

from gevent import monkey

monkey.patch_all()

import ast  # noqa: E402
import re  # noqa: E402
import sys  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

from .. import config  # noqa: E402
from ..events import ARGUMENTS, EVENTS  # noqa: E402
from ..schema import schema  # noqa: E402

PACKAGE = Path(__file__).parent.parent
ROOT = PACKAGE.parent
GENERATED = "<!-- made by `make docs` from the code: do not edit -->\n\n"
_mention = re.compile(r"\b(XEP-\d{4}|RFC \d{4})(?:: ([^\n.,;(]+))?")

TITLES = {  # of what no file names in full: "XEP-0092: Software Version" in a docstring says it there
    "RFC 1035": "DNS",
    "RFC 2308": "Negative caching of DNS queries",
    "RFC 2782": "DNS SRV records",
    "RFC 4985": "SRVName in certificates",
    "RFC 5280": "X.509 certificates",
    "RFC 5802": "SCRAM-SHA-1",
    "RFC 5929": "Channel bindings for TLS",
    "RFC 6120": "XMPP: core",
    "RFC 6121": "XMPP: instant messaging and presence",
    "RFC 6698": "DANE: TLSA records",
    "RFC 7590": "TLS in XMPP",
    "RFC 7622": "XMPP: address format",
    "RFC 7671": "DANE: operations",
    "RFC 7673": "DANE with SRV records",
    "RFC 7677": "SCRAM-SHA-256",
    "RFC 7712": "Domain name associations (DNA) in XMPP",
    "RFC 8265": "PRECIS: user names and passwords",
    "RFC 8305": "Happy Eyeballs",
    "RFC 9266": "Channel bindings for TLS 1.3",
    "RFC 9520": "Caching of DNS failures",
    "RFC 9525": "Service identity in TLS",
    "XEP-0004": "Data Forms",
    "XEP-0059": "Result Set Management",
    "XEP-0068": "Field Standardization for Data Forms",
    "XEP-0082": "XMPP Date and Time Profiles",
    "XEP-0178": "SASL EXTERNAL with Certificates",
    "XEP-0368": "SRV records for XMPP over TLS",
    "XEP-0440": "SASL Channel-Binding Type Capability",
}


def events() -> str:
    """docs/events.md"""
    tables = []
    for told in (False, True):
        rows = (
            f"| `{e.name}` | `({', '.join(e.arguments)})` | {e.meaning} |" for e in EVENTS if e.told == told
        )
        tables.append("| event | arguments | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    arguments = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in ARGUMENTS.items())
    return (
        "# Events\n\nWhat a module may hook with `@on(event)`. Handlers run in the order of `jabberd_py.modules.ORDER`. "
        "An unknown event, or a handler that cannot take the event's arguments, fails when the module is loaded.\n\n"
        "## Stanza events\n\nIn the order in which a stanza meets them. The first handler that returns `HANDLED` ends the "
        f"chain; `kind=` hooks one kind of stanza only.\n\n{tables[0]}\n"
        f"## Life events\n\nEvery handler hears them.\n\n{tables[1]}\n"
        f"## Arguments\n\n| | |\n|---|---|\n{arguments}\n"
    )


def protocols() -> str:
    """docs/protocols.md, from what the docstrings at the top of files and of their classes mention."""
    titles = dict(TITLES)
    files: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        documented = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef))]
        for number, title in _mention.findall(
            "\n".join(ast.get_docstring(node) or "" for node in documented)
        ):
            if title:
                titles.setdefault(number, title.strip())
            where = str(path.relative_to(ROOT))
            if where not in files.setdefault(number, []):
                files[number].append(where)
    rows = []
    for number in sorted(files, key=lambda number: (number[:3], int(number[4:]))):
        links = ", ".join(f"[`{Path(where).name}`](../{where})" for where in files[number])
        rows.append(f"| {number} | {titles.get(number, '')} | {links} |")
    return "# Protocols\n\n| | | where |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def pages() -> Iterator[tuple[Path, str]]:
    """Every file that is made, and what must be in it."""
    yield ROOT / "conf/jabberd.yaml", config.sample(schema())
    yield ROOT / "docs/options.md", GENERATED + config.options_markdown(schema())
    yield ROOT / "docs/events.md", GENERATED + events()
    yield ROOT / "docs/protocols.md", GENERATED + protocols()


def main(what: str) -> int:
    stale = 0
    for path, text in pages():
        if what == "check":
            if not path.exists() or path.read_text() != text:
                print(f"{path.relative_to(ROOT)} is stale: make docs conf", file=sys.stderr)
                stale = 1
        elif (path.suffix == ".yaml") == (what == "conf"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "docs"))
