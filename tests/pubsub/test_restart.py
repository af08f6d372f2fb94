"""PEP behind a restart of the server: clients resume their streams and send no presence."""

from tests.client import Client, subscribe_both
from tests.pubsub.words import event, listen, publish

SM = "urn:xmpp:sm:3"


def resumable(client):
    client.send(f"<enable xmlns='{SM}' resume='true'/>")
    return client.gets(f"<enabled xmlns='{SM}'/>").get("id")


def test_contacts_and_own_clients_hear_of_what_is_published_behind_a_restart(start_server):
    server = start_server()
    for name in ("romeo", "juliet"):
        server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")

    def come(name, resource):
        client = Client(server.address("c2s"), "localhost")
        client.connect()
        client.auth(name, "secret")
        return client

    clients = {}
    for name, resource in (("romeo", "desk"), ("romeo", "phone"), ("juliet", "balcony")):
        client = clients[name, resource] = come(name, resource)
        client.bind(resource)
        client.available()
    romeo, phone, juliet = clients.values()
    subscribe_both(romeo, juliet)
    tokens = {}
    for who, client in clients.items():
        if client is not romeo:
            listen(client, "urn:test:mood")
        tokens[who] = resumable(client)
    publish(romeo, "urn:test:mood", "a")
    for client in (phone, juliet):
        client.gets(event("urn:test:mood", "<item id='a'/>", romeo.bare))
    server.restart()
    back = {}
    for who, token in tokens.items():
        back[who] = client = come(*who)
        client.send(f"<resume xmlns='{SM}' previd='{token}' h='0'/>")
        client.gets(f"<resumed xmlns='{SM}' previd='{token}'/>")
    romeo, phone, juliet = back.values()
    romeo.gets("<presence from='juliet@localhost/balcony'/>")
    publish(romeo, "urn:test:mood", "b")
    for client in (phone, juliet):
        client.gets(event("urn:test:mood", "<item id='b'/>", "romeo@localhost"))
    for client in back.values():
        client.close()
