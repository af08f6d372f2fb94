"""XEP-0377: reports stay until the administrator has cleared them."""

import json

NS = "urn:xmpp:reporting:1"


def block(jid, report):
    return f"<block xmlns='urn:xmpp:blocking'><item jid='{jid}'>{report}</item></block>"


def test_a_report_is_kept_and_the_block_is_done(romeo, juliet, topology):
    server = topology.romeo.server
    info = romeo.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", romeo.domain)
    assert NS in [each.get("var") for each in info[0]]
    report = (
        f"<report xmlns='{NS}' reason='urn:xmpp:reporting:spam'><stanza-id xmlns='urn:xmpp:sid:0' id='77' by='x'/>"
        "<text xml:lang='en'>Never came trouble to my house like this.</text><report-origin/></report>"
    )
    assert romeo.iq("set", block(juliet.bare, report)).get("type") == "result"
    blocked = romeo.iq("get", "<blocklist xmlns='urn:xmpp:blocking'/>")
    assert [each.get("jid") for each in blocked[0]] == [juliet.bare]
    host = ["--host", romeo.domain, "--json"]
    rows = json.loads(server.ctl("reports", "list", *host))
    [row] = [row for row in rows if row["by"] == romeo.bare]
    assert row["jid"] == juliet.bare and row["reason"] == "spam" and row["messages"] == ["77"]
    assert row["text"] == "Never came trouble to my house like this." and row["may tell"] == "report-origin"
    assert json.loads(server.ctl("reports", "clear", "--reported", juliet.bare, *host)) == {"removed": 1}
    rows = json.loads(server.ctl("reports", "list", *host))
    assert not [row for row in rows if row["by"] == romeo.bare]


def test_what_is_no_report_leaves_nothing_and_many_leave_the_newest(server, romeo):
    for report in (
        f"<report xmlns='{NS}' reason='urn:x'/>",
        f"<report xmlns='{NS}'/>",
        "<report/>",
        "<x xmlns='x'/>",
    ):
        assert romeo.iq("set", block("a@example.org", report)).get("type") == "result"
    for number in range(55):
        report = f"<report xmlns='{NS}' reason='urn:xmpp:reporting:abuse'><text>{number}</text></report>"
        romeo.iq("set", block(f"b{number}@example.org", report))
    rows = json.loads(server.ctl("reports", "list", "--host", "localhost", "--json"))
    mine = [row["text"] for row in rows if row["by"] == romeo.bare]
    assert mine == [str(number) for number in range(54, 4, -1)]
    page = server.ask("reports list", host="localhost", limit=10)
    older = server.ask("reports list", host="localhost", limit=10, after=page[-1]["id"])
    assert len(page) == 10 and max(row["id"] for row in older) < page[-1]["id"]
