"""Documentation that is made from the code: ``python -m jabberd_py.ctl.docs docs|conf|check``.

``... docs plugins FILE FOLDER`` writes the same pages into a folder, with the plugins that a configuration names.
"""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402
import sys  # noqa: E402
from collections.abc import Iterable, Iterator, Set  # noqa: E402
from importlib import import_module  # noqa: E402
from pathlib import Path  # noqa: E402

from .. import config, modules  # noqa: E402
from ..events import ARGUMENTS, EVENTS, Event  # noqa: E402
from ..schema import configuration, schema  # noqa: E402
from ..xmpp.protocols import Protocol  # noqa: E402
from .suites import ROWS  # noqa: E402

PACKAGE = Path(__file__).parent.parent
ROOT = PACKAGE.parent
GENERATED = "<!-- made by `make docs` from the code: do not edit -->\n\n"


def events() -> str:
    """docs/events.md"""
    tables = [_table([each for each in EVENTS if each.told == told]) for told in (False, True)]
    arguments = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in ARGUMENTS.items())
    services = "".join(
        f"\n## Events of the service `{name}`\n\n{_table(service.events)}\n| | |\n|---|---|\n"
        + "".join(f"| `{each}` | {meaning} |\n" for each, meaning in service.arguments.items())
        for name, service in modules.load_services().items()
        if service.events
    )
    return (
        "# Events\n\nWhat a module may hook with `@on(event)`. Handlers run in the order of `jabberd_py.modules.ORDER`. "
        "An unknown event, or a handler that cannot take the event's arguments, fails when the module is loaded.\n\n"
        "## Stanza events\n\nIn the order in which a stanza meets them. The first handler that returns `HANDLED` ends the "
        f"chain; `kind=` hooks one kind of stanza only.\n\n{tables[0]}\n"
        f"## Life events\n\nEvery handler hears them.\n\n{tables[1]}\n"
        f"## Arguments\n\n| | |\n|---|---|\n{arguments}\n{services}"
    )


def _table(events: Iterable[Event]) -> str:
    rows = (f"| `{e.name}` | `({', '.join(e.arguments)})` | {e.meaning} |\n" for e in events)
    return "| event | arguments | meaning |\n|---|---|---|\n" + "".join(rows)


def offered() -> Iterator[tuple[Protocol, str]]:
    """(protocol, file) of every declaration in the tree."""
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(ROOT)
        if path.name == "__main__.py":
            continue
        file = import_module(".".join(where.with_suffix("").parts).removesuffix(".__init__"))
        kinds = [
            kind
            for kind in vars(file).values()
            if isinstance(kind, type) and kind.__module__ == file.__name__
        ]
        declared = [vars(file).get("PROTOCOLS", ()), *(vars(kind).get("protocols", ()) for kind in kinds)]
        for protocol in (each for some in declared for each in some):
            yield protocol, str(where)
    for kind in modules.PLUGINS:
        for protocol in kind.protocols:
            yield protocol, str(sys.modules[kind.__module__].__file__)


def protocols() -> str:
    """docs/protocols.md. Raises ValueError where two files speak of different versions."""
    files: dict[tuple[str, int], dict[Protocol, list[str]]] = {}
    for protocol, where in offered():
        files.setdefault((protocol.name[:3], protocol.number), {}).setdefault(protocol, []).append(where)
    rows = []
    for _, declared in sorted(files.items()):
        first = next(iter(declared))
        if any((each.version, each.title) != (first.version, first.title) for each in declared):
            raise ValueError(f"{first.name} is declared with different versions or titles: {declared}")
        missing = "; ".join(dict.fromkeys(each.missing for each in declared if each.missing))
        paths = dict.fromkeys(path for paths in declared.values() for path in paths)
        links = ", ".join(f"[`{Path(path).name}`](../{path})" for path in paths)
        rows.append(
            f"| [{first.name}]({first.url}) | {first.version} | {first.title} | {missing} | {links} |"
        )
    return (
        "# Protocols\n\nWhat the server offers, as its files declare it (`xmpp/protocols.py`).\n\n"
        "| | version | | left out | where |\n|---|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
        + compliance({each.name for declared in files.values() for each in declared})
    )


def compliance(offered: Set[str]) -> str:
    """What XEP-0479 asks of servers. ``offered``: names of protocols."""
    rows = []
    for row in ROWS:
        met, level = row.met(offered), "Advanced" if row.advanced else "Core"
        proofs = (each.partition("::") for each in row.tests)
        proof = ", ".join(f"[`{test}`](../{file})" for file, _, test in proofs) if met else ""
        providers = ", ".join(row.providers)
        rows.append(
            f"| {row.suite} | {row.feature} | {level} | {providers} | {'yes' if met else 'no'} | {proof} |"
        )
    return (
        "\n## Compliance\n\nWhat [XEP-0479](https://xmpp.org/extensions/xep-0479.html) (XMPP Compliance Suites 2023) asks of "
        "servers (`ctl/suites.py`); a server of level Advanced needs the rows of level Core, too.\n\n"
        "| suite | feature | level | protocols | | proof |\n|---|---|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )


def pages() -> Iterator[tuple[Path, str]]:
    """Every file that is made, and what must be in it."""
    yield ROOT / "conf/jabberd.yaml.example", config.sample(schema())
    yield ROOT / "docs/options.md", GENERATED + config.options_markdown(schema())
    yield ROOT / "docs/events.md", GENERATED + events()
    yield ROOT / "docs/protocols.md", GENERATED + protocols()


def main(what: str, file: str = "", folder: str = "") -> int:
    if what == "plugins":
        configuration(file, (), os.environ)
        for path, text in pages():
            (Path(folder) / path.name).write_text(text)
        return 0
    stale = 0
    for path, text in pages():
        if what == "check":
            if not path.exists() or path.read_text() != text:
                print(f"{path.relative_to(ROOT)} is stale: make docs conf", file=sys.stderr)
                stale = 1
        elif (path.parent.name == "conf") == (what == "conf"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    return stale


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or ["docs"]))
