"""``python -m jabberd_py``: the server."""

from gevent import monkey

monkey.patch_all()

import os
import sys

import click

from . import __version__
from .config import FILE
from .server import AGAIN, run
from .settings import USUAL

# the writer's thread must not wait 5 ms for the interpreter each time it comes back from the database
sys.setswitchinterval(0.001)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="jabberd_py")
@click.option(
    "-c",
    "--config",
    "path",
    metavar="FILE",
    help=f"The configuration; else ${FILE}, else {USUAL} if it is there.",
)
@click.option("-s", "--set", "overrides", multiple=True, metavar="PATH=VALUE",
              help="Set one option, such as c2s.port=5333; wins over file and environment.")  # fmt: skip
def main(path: str | None, overrides: tuple[str, ...]) -> None:
    """Runs the Jabber server in the foreground."""
    code = run(path or os.environ.get(FILE), list(overrides))
    if code == AGAIN:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    sys.exit(code)


if __name__ == "__main__":
    main()
