"""XEP-0092: which software this is."""

from tests.conftest import CONFIG, Place

NS = "jabber:iq:version"


def test_the_server_tells_its_version_but_not_its_system(romeo):
    romeo.send(f"<iq type='get' id='v' to='{romeo.domain}'><query xmlns='{NS}'/></iq>")
    romeo.gets(
        f"<iq type='result' id='v' from='{romeo.domain}'><query xmlns='{NS}'>"
        "<name>jabberd_py</name><version>...</version><os>!absent</os></query></iq>"
    )


def test_the_operator_decides_what_is_told(start_server, account, make_client):
    version = {"reveal_version": False, "reveal_os": True}
    server = start_server({**CONFIG, "modules": {**CONFIG["modules"], "version": version}})
    client = make_client(account("romeo", Place(server, "localhost")), available=False)
    client.send(f"<iq type='get' id='v' to='localhost'><query xmlns='{NS}'/></iq>")
    client.gets(
        f"<iq type='result' id='v'><query xmlns='{NS}'>"
        "<version>undisclosed</version><os>Linux</os></query></iq>"
    )
