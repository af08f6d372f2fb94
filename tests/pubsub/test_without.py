"""A host without some of the modules that others work with starts, and announces nothing that it cannot do."""

from tests.conftest import CONFIG, Place
from tests.pubsub.words import INFO, condition


def test_a_host_without_pep_or_vcards_or_private_storage_starts(start_server, account, make_client):
    hosts = {f"{name}.localhost": {"modules": {name: False}} for name in ("vcard", "private", "pep")}
    server = start_server({**CONFIG, "hosts": hosts})
    for domain in hosts:
        romeo = make_client(account("romeo", Place(server, domain)))
        info = romeo.iq("get", f"<query xmlns='{INFO}'/>", to=romeo.bare)[0]
        found = {each.get("var") for each in info.iter(f"{{{INFO}}}feature")}
        both = {"urn:xmpp:bookmarks:1#compat", "urn:xmpp:bookmarks-conversion:0"}
        assert both <= found if domain.startswith("vcard") else both.isdisjoint(found)
        answer = condition(romeo.iq("get", "<vCard xmlns='vcard-temp'/>"))
        assert answer == (("service-unavailable",) if domain.startswith("vcard") else ("item-not-found",))
        assert condition(romeo.iq("get", "<ping xmlns='urn:xmpp:ping'/>", to=domain)) == ("result",)
