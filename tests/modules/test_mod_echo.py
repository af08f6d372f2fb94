"""mod_echo, and the page that shows it."""

import re
from pathlib import Path

from jabberd_py.modules import mod_echo

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-module.md"


def test_the_page_shows_the_file():
    shown = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    assert shown == Path(mod_echo.__file__).read_text()


def test_an_echo(make_client, account):
    romeo = make_client(account("romeo"))
    romeo.send(
        "<message to='echo@localhost' id='m1' type='chat'><body>hello</body><x xmlns='some:thing'/></message>"
    )
    romeo.gets(
        f"<message from='echo@localhost' to='{romeo.jid}' id='m1' type='chat'>"
        "<body>hello</body><x xmlns='some:thing'/></message>"
    )


def test_an_error_gets_no_echo(make_client, account):
    romeo = make_client(account("romeo"))
    romeo.send("<message to='echo@localhost' id='m2' type='error'/>")
    romeo.nothing("<message/>")
