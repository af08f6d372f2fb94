"""XEP-0313: Message Archive Management; XEP-0441, XEP-0431, and the tombstones of XEP-0424."""

import pytest

from tests.client import Client, subscribe_both

NS = "urn:xmpp:mam:2"
RSM = "http://jabber.org/protocol/rsm"
FORWARD = "urn:xmpp:forward:0"
SID = "urn:xmpp:sid:0"
FULLTEXT = "{urn:xmpp:fulltext:0}fulltext"
RETRACT = "urn:xmpp:message-retract:1"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
MESSAGE = "{jabber:client}message"


def ask(client, rsm="", flip="", queryid="", to=None, **fields):
    """The answer to a query; `fields`: `with_=`, `before_id=`, `ids=[...]`."""
    names = {key.strip("_").replace("_", "-"): value for key, value in fields.items()}
    return ask_form(client, names, rsm, flip, queryid, to)


def ask_form(client, fields, rsm="", flip="", queryid="", to=None):
    x = "".join(
        f"<field var='{var}'>{''.join(f'<value>{v}</value>' for v in ([value] if isinstance(value, str) else value))}"
        "</field>"
        for var, value in fields.items()
    )
    form = f"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{NS}</value></field>{x}</x>"
    page = f"<set xmlns='{RSM}'>{rsm}</set>" if rsm else ""
    queryid = f" queryid='{queryid}'" if queryid else ""
    return client.iq("set", f"<query xmlns='{NS}'{queryid}>{form if fields else ''}{page}{flip}</query>", to)


def results(client):
    """The results in the inbox: (id, the stanza inside)."""
    found = [e for e in client.inbox if e.find(f"{{{NS}}}result") is not None]
    client.inbox = [e for e in client.inbox if e not in found]
    out = []
    for element in found:
        assert element.get("from") == client.bare and element.get("to") == client.jid
        result = element.find(f"{{{NS}}}result")
        stanza = result.find(f"{{{FORWARD}}}forwarded/{MESSAGE}")
        assert result.find(f"{{{FORWARD}}}forwarded/{{urn:xmpp:delay}}delay").get("stamp").endswith("Z")
        out.append((result.get("id"), stanza))
    return out


def texts(client, rsm="", flip="", **fields):
    fin = ask(client, rsm, flip, **fields)
    assert fin.get("type") == "result", fin[0]
    return [stanza.findtext("{jabber:client}body") for _, stanza in results(client)]


def fails(answer, condition):
    assert answer.find(f".//{{{STANZAS}}}{condition}") is not None, list(answer.iter())


def say(client, to, *bodies):
    for body in bodies:
        client.send(f"<message to='{to}' type='chat' id='{body}'><body>{body}</body></message>")
    client.sync()


def hear(client, *bodies):
    return [
        client.gets(f"<message><body>{body}</body></message>").find(f"{{{SID}}}stanza-id").get("id")
        for body in bodies
    ]


@pytest.fixture
def five(romeo, juliet):
    """Ids of five messages, which juliet has got."""
    bodies = ("one", "two", "three", "four", "five")
    say(romeo, juliet.jid, *bodies)
    return hear(juliet, *bodies)


def test_the_account_says_that_it_has_an_archive(romeo):
    info = romeo.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", romeo.bare)
    wanted = {
        NS,
        f"{NS}#extended",
        f"{NS}#groupchat-field",
        f"{NS}#groupchat-available",
        "urn:xmpp:fulltext:0",
        f"{RETRACT}#tombstone",
    }
    assert wanted <= {each.get("var") for each in info[0]}


def test_both_have_the_conversation(romeo, juliet, five):
    say(juliet, romeo.bare, "six")
    hear(romeo, "six")
    fin = ask(juliet, queryid="f27")
    first = juliet.gets(
        f"<message from='{juliet.bare}' to='{juliet.jid}'><result xmlns='{NS}' queryid='f27' id='{five[0]}'>"
        f"<forwarded xmlns='{FORWARD}'><delay xmlns='urn:xmpp:delay' stamp='...'/>"
        f"<message xmlns='jabber:client' from='{romeo.jid}' to='{juliet.jid}' type='chat' id='one'>"
        "<body>one</body></message></forwarded></result></message>"
    )
    assert first is not None
    assert fin[0].tag == f"{{{NS}}}fin" and fin[0].get("complete") == "true"
    rest = results(juliet)
    assert [id for id, _ in rest][:4] == five[1:]
    assert rest[-1][1].get("from") == juliet.jid and rest[-1][1].get("to") == romeo.bare
    page = fin[0][0]
    assert page.findtext(f"{{{RSM}}}first") == five[0]
    assert page.findtext(f"{{{RSM}}}last") == rest[-1][0] and page.findtext(f"{{{RSM}}}count") == "6"
    assert texts(romeo) == ["one", "two", "three", "four", "five", "six"]


def test_a_kept_message_names_its_language(romeo, juliet):
    """Who reads it may do so on a stream of another language (RFC 6120 section 8.1.5)."""
    romeo.send(f"<message to='{juliet.jid}' type='chat'><body>soft</body></message>")
    juliet.gets("<message><body>soft</body></message>")
    ask(romeo)
    ((_, message),) = results(romeo)
    assert message.get("{http://www.w3.org/XML/1998/namespace}lang") == "en"


def test_an_empty_archive(romeo):
    fin = ask(romeo)
    assert fin[0].get("complete") == "true" and fin[0].find(f".//{{{RSM}}}first") is None
    assert romeo.iq("get", f"<metadata xmlns='{NS}'/>")[0].find("*") is None


def test_pages_forwards(romeo, juliet, five):
    fin = ask(juliet, "<max>2</max>")
    assert fin[0].get("complete") is None and fin[0].findtext(f".//{{{RSM}}}count") == "5"
    assert [id for id, _ in results(juliet)] == five[:2]
    fin = ask(juliet, f"<max>2</max><after>{five[1]}</after>")
    assert fin[0].get("complete") is None
    assert [id for id, _ in results(juliet)] == five[2:4]
    fin = ask(juliet, f"<max>2</max><after>{five[3]}</after>")
    assert fin[0].get("complete") == "true"
    assert [id for id, _ in results(juliet)] == five[4:]


def test_pages_backwards(romeo, juliet, five):
    fin = ask(juliet, "<max>2</max><before/>")
    assert fin[0].get("complete") is None
    assert (
        fin[0].find(f".//{{{RSM}}}first").get("index") is None
    )  # slixmpp would add it to the count, and stop there
    assert [id for id, _ in results(juliet)] == five[3:]
    assert texts(juliet, f"<max>2</max><before>{five[3]}</before>") == ["two", "three"]
    fin = ask(juliet, f"<max>2</max><before>{five[1]}</before>")
    assert fin[0].get("complete") == "true"
    assert [id for id, _ in results(juliet)] == five[:1]


def test_a_flipped_page(romeo, juliet, five):
    assert texts(juliet, "<max>2</max><before/>", "<flip-page/>") == ["five", "four"]
    assert texts(juliet, f"<max>2</max><after>{five[0]}</after>", "<flip-page/>") == ["three", "two"]


def test_only_the_count(romeo, juliet, five):
    fin = ask(juliet, "<max>0</max>")
    assert fin[0].findtext(f".//{{{RSM}}}count") == "5" and results(juliet) == []


def test_with_whom(romeo, juliet, nurse, make_client, five):
    say(nurse, juliet.bare, "madam")
    hear(juliet, "madam")
    other = make_client(romeo.account, resource="street")
    say(other, juliet.jid, "street")
    hear(juliet, "street")
    assert texts(juliet, with_=nurse.bare) == ["madam"]
    assert texts(juliet, with_=romeo.bare) == ["one", "two", "three", "four", "five", "street"]
    assert texts(juliet, with_=other.jid) == ["street"]
    assert texts(juliet, "<max>1</max><before/>", with_=romeo.jid) == ["five"]
    assert texts(juliet, with_="nobody@example.org") == []


def test_to_oneself_is_kept_once(juliet, romeo, five):
    say(juliet, juliet.bare, "note")
    juliet.send("<message type='chat'><body>to nobody</body></message>")
    juliet.sync()
    assert texts(juliet, with_=juliet.bare) == ["note", "to nobody"]


def test_time(romeo, juliet, five):
    ask(juliet)
    stamps = [
        e.find(".//{urn:xmpp:delay}delay").get("stamp")
        for e in juliet.inbox
        if e.find(f"{{{NS}}}result") is not None
    ]
    results(juliet)
    assert texts(juliet, start=stamps[0], end=stamps[-1]) == ["one", "two", "three", "four", "five"]
    assert texts(juliet, start="2010-06-07T00:00:00Z", end="2010-07-07T13:23:54Z") == []
    assert texts(juliet, start="2010-08-07T00:00:00Z")[0] == "one"
    assert texts(juliet, start="2990-08-07T00:00:00Z") == []
    assert texts(juliet, end="2990-08-07T00:00:00+02:00")[-1] == "five"
    fails(ask(juliet, start="yesterday"), "bad-request")


def test_between_ids_and_single_ones(romeo, juliet, five):
    assert texts(juliet, after_id=five[2]) == ["four", "five"]
    assert texts(juliet, before_id=five[2]) == ["one", "two"]
    assert texts(juliet, after_id=five[0], before_id=five[4]) == ["two", "three", "four"]
    assert texts(juliet, "<max>1</max><before/>", after_id=five[0], before_id=five[4]) == ["four"]
    assert texts(juliet, ids=[five[4], five[1]]) == ["two", "five"]


def test_unknown_ids(romeo, juliet, five):
    nobody = str(int(five[0]) - 1)
    for answer in (
        ask(juliet, f"<after>{nobody}</after>"),
        ask(juliet, "<before>09af3-cc343-b409f</before>"),
        ask(juliet, before_id=nobody),
        ask(juliet, after_id=nobody),
        ask(juliet, ids=[five[0], nobody]),
        ask(romeo, after_id=five[0]),  # of somebody else's archive
    ):
        fails(answer, "item-not-found")
    assert results(juliet) == []


def test_metadata(romeo, juliet, five):
    answer = juliet.iq("get", f"<metadata xmlns='{NS}'/>")[0]
    assert answer[0].tag == f"{{{NS}}}start" and answer[0].get("id") == five[0]
    assert answer[1].tag == f"{{{NS}}}end" and answer[1].get("id") == five[4]
    assert answer[0].get("timestamp") <= answer[1].get("timestamp")


def test_the_form(romeo):
    x = romeo.iq("get", f"<query xmlns='{NS}'/>")[0][0]
    fields = {field.get("var"): field for field in x}
    assert fields["with"].get("type") == "jid-single" and fields["start"].get("type") == "text-single"
    assert {"end", "before-id", "after-id", "include-groupchat", FULLTEXT} <= set(fields)
    assert fields["ids"].find(".//{http://jabber.org/protocol/xdata-validate}open") is not None


def test_bad_queries(romeo, juliet):
    fails(ask_form(romeo, {"colour": "red"}), "feature-not-implemented")
    fails(ask(romeo, "<index>3</index>"), "feature-not-implemented")
    fails(ask(romeo, "<max>many</max>"), "bad-request")
    fails(ask(romeo, with_="@"), "bad-request")
    fails(ask(romeo, ids=[str(n) for n in range(501)]), "policy-violation")
    fails(ask(romeo, to=juliet.bare), "forbidden")
    fails(romeo.iq("get", f"<metadata xmlns='{NS}'/>", juliet.bare), "forbidden")
    fails(romeo.iq("set", f"<purge xmlns='{NS}'/>"), "bad-request")


def test_include_groupchat(romeo, juliet, five):
    assert len(texts(juliet, include_groupchat="true")) == len(texts(juliet, include_groupchat="false")) == 5
    fails(ask(juliet, include_groupchat="perhaps"), "bad-request")


@pytest.mark.parametrize(
    ("attributes", "payload", "kept"),
    [
        ("type='chat'", "<body>x</body>", True),
        ("", "<body>x</body>", True),
        ("type='headline'", "<body>x</body>", False),
        ("type='chat'", "<composing xmlns='http://jabber.org/protocol/chatstates'/>", False),
        ("type='chat'", "<received xmlns='urn:xmpp:receipts' id='1'/>", True),
        ("type='chat'", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", True),
        ("type='chat'", "<body>x</body><no-store xmlns='urn:xmpp:hints'/>", False),
        ("type='chat'", "<body>x</body><no-permanent-store xmlns='urn:xmpp:hints'/>", False),
        ("type='chat'", "<x xmlns='y'/><store xmlns='urn:xmpp:hints'/>", True),
    ],
)
def test_what_is_kept(romeo, juliet, attributes, payload, kept):
    romeo.send(f"<message to='{juliet.jid}' id='m' {attributes}>{payload}</message>")
    juliet.gets("<message id='m'/>")
    for each in (romeo, juliet):
        ask(each)
        assert len(results(each)) == kept


def test_forged_ids_are_not_believed(romeo, juliet):
    forged = f"<stanza-id xmlns='{SID}' by='{juliet.bare}' id='forged'/><stanza-id xmlns='{SID}' by='a@b' id='theirs'/>"
    romeo.send(f"<message to='{juliet.jid}' type='chat'><body>x</body>{forged}</message>")
    assert "forged" not in [e.get("id") for e in juliet.gets("<message/>").iter(f"{{{SID}}}stanza-id")]
    ask(juliet)
    ((_, stanza),) = results(juliet)
    assert [e.get("id") for e in stanza.iter(f"{{{SID}}}stanza-id")] == ["theirs"]


def test_many_queries_at_once_are_answered_in_order(romeo, juliet, five):
    for number in range(5):
        juliet.send(f"<iq type='set' id='q{number}'><query xmlns='{NS}' queryid='{number}'/></iq>")
    for number in range(5):
        juliet.answer(f"q{number}")
    seen = [
        e.find(f"{{{NS}}}result").get("queryid")
        for e in juliet.inbox
        if e.find(f"{{{NS}}}result") is not None
    ]
    assert seen == [str(n // 5) for n in range(25)]


def test_with_stream_management_unacknowledged_results_do_not_block(romeo, juliet, five):
    juliet.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    juliet.gets("<enabled xmlns='urn:xmpp:sm:3'/>")
    for _ in range(3):
        assert len(texts(juliet)) == 5


# -- XEP-0441 --------------------------------------------------------------------------------------


def prefer(client, default, always=(), never=()):
    lists = "".join(
        f"<{name}>{''.join(f'<jid>{jid}</jid>' for jid in jids)}</{name}>"
        for name, jids in (("always", always), ("never", never))
    )
    return client.iq("set", f"<prefs xmlns='{NS}' default='{default}'>{lists}</prefs>")


def test_preferences_are_kept(romeo):
    romeo_prefs = romeo.iq("get", f"<prefs xmlns='{NS}'/>")[0]
    assert romeo_prefs.get("default") == "always"
    assert [len(romeo_prefs.find(f"{{{NS}}}{name}")) for name in ("always", "never")] == [0, 0]
    for answer in (
        prefer(romeo, "roster", ["romeo@montague.lit"], ["Montague@montague.lit"]),
        romeo.iq("get", f"<prefs xmlns='{NS}'/>"),
    ):
        prefs = answer[0]
        assert prefs.get("default") == "roster"
        assert prefs.findtext(f"{{{NS}}}always/{{{NS}}}jid") == "romeo@montague.lit"
        assert prefs.findtext(f"{{{NS}}}never/{{{NS}}}jid") == "montague@montague.lit"
    fails(prefer(romeo, "sometimes"), "bad-request")
    fails(prefer(romeo, "always", ["@"]), "jid-malformed")
    fails(prefer(romeo, "always", [f"a{n}@b" for n in range(1001)]), "policy-violation")


def test_never_and_always(romeo, juliet, nurse):
    prefer(juliet, "never", always=[nurse.bare])
    say(romeo, juliet.jid, "secret")
    juliet.gets("<message><body>secret</body></message>")
    say(nurse, juliet.jid, "madam")
    juliet.gets("<message><body>madam</body></message>")
    say(juliet, romeo.jid, "answer")
    say(juliet, nurse.jid, "coming")
    assert texts(juliet) == ["madam", "coming"]
    assert texts(romeo) == ["secret", "answer"]
    prefer(juliet, "always", never=[romeo.jid])
    say(romeo, juliet.jid, "again")
    juliet.gets("<message><body>again</body></message>")
    say(juliet, romeo.bare, "bare")
    assert texts(juliet) == ["madam", "coming", "bare"]


def test_contacts_only(romeo, juliet, nurse):
    subscribe_both(juliet, nurse)
    prefer(juliet, "roster")
    say(romeo, juliet.jid, "stranger")
    say(nurse, juliet.jid, "madam")
    juliet.gets("<message><body>madam</body></message>")
    juliet.gets("<message><body>stranger</body></message>")
    assert texts(juliet) == ["madam"]


def test_what_nobody_wants_archived_still_waits_for_the_absent(romeo, account, make_client):
    absent = account("absent")
    client = make_client(absent, available=False)
    prefer(client, "never")
    client.close()
    say(romeo, absent.bare, "later")
    client = make_client(absent)
    client.gets("<message><body>later</body></message>")
    assert texts(client) == []


# -- XEP-0431 --------------------------------------------------------------------------------------


def find(client, words, rsm="", **fields):
    answer = ask_form(client, {FULLTEXT: words, **fields}, rsm)
    assert answer.get("type") == "result"
    return [stanza.get("id") for _, stanza in results(client)]


def test_full_text_search(romeo, juliet, nurse):
    for number, body in enumerate(
        ("But soft, what light", "It is the east", "Juliet is the sun", "L'été, soft")
    ):
        romeo.send(f"<message to='{juliet.jid}' type='chat' id='{number}'><body>{body}</body></message>")
    nurse.send(f"<message to='{juliet.jid}' type='chat' id='n'><body>soft soft</body></message>")
    romeo.sync()
    nurse.sync()
    assert sorted(find(juliet, "soft")) == ["0", "3", "n"]
    assert find(juliet, "soft", **{"with": nurse.bare}) == ["n"]
    assert find(juliet, "SUN juliet") == ["2"]
    assert find(juliet, "is the") == ["1", "2"]
    assert find(juliet, "is the", "<max>1</max>") == ["1"]
    assert find(juliet, "is the", "<max>1</max><before/>") == ["2"]
    assert find(juliet, 'nothing" OR soft*') == []
    assert find(romeo, "sun") == ["2"]
    say(romeo, juliet.jid, "sunrise", "sun")
    assert find(juliet, "sun") == ["2", "sun"]
    assert len(find(juliet, "  ")) == 7


# -- XEP-0424 --------------------------------------------------------------------------------------


def retract(client, to, original, id):
    client.send(
        f"<message type='chat' to='{to}' id='{id}'><retract id='{original}' xmlns='{RETRACT}'/>"
        "<body>/me retracted a message</body></message>"
    )
    client.sync()


def test_a_tombstone(romeo, juliet):
    say(romeo, juliet.jid, "wrong")
    hear(juliet, "wrong")
    assert find(juliet, "wrong") == ["wrong"]
    retract(romeo, juliet.jid, "wrong", "r1")
    for each in (romeo, juliet):
        ask(each)
        (_, stone), (_, retraction) = results(each)
        assert [child.tag for child in stone] == [f"{{{RETRACT}}}retracted"]
        assert (
            stone.get("id") == "wrong" and stone[0].get("id") == "r1" and stone[0].get("stamp").endswith("Z")
        )
        assert retraction.get("id") == "r1"
    assert find(juliet, "wrong") == []


def test_only_the_sender_retracts(romeo, juliet, nurse):
    say(romeo, juliet.jid, "mine")
    retract(nurse, juliet.jid, "mine", "r1")
    retract(juliet, romeo.jid, "mine", "r2")
    for each in (romeo, juliet):
        assert "mine" in texts(each)


# -- retention -------------------------------------------------------------------------------------


def test_an_archive_outlives_a_crash(start_server):
    server = start_server({})
    for name in ("romeo", "juliet"):
        server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")
    romeo = Client(server.address("c2s")).login("romeo", "secret").available()
    say(romeo, "juliet@localhost", "one", "two")
    assert texts(romeo) == ["one", "two"]
    server.kill9()
    server.start()
    romeo = Client(server.address("c2s")).login("romeo", "secret").available()
    assert texts(romeo) == ["one", "two"]
    romeo.close()


def test_an_index_is_said_to_who_asked_by_it(romeo, juliet, five):
    assert ask(juliet, "<max>2</max><index>0</index>")[0].find(f".//{{{RSM}}}first").get("index") == "0"
    assert [id for id, _ in results(juliet)] == five[:2]
    assert ask(juliet, "<max>2</max>")[0].find(f".//{{{RSM}}}first").get("index") is None


@pytest.mark.parametrize("most", ["2147483647", "4294967296", "9" * 40, "00000000000000000000005"])
def test_who_asks_for_too_much_gets_a_page(romeo, juliet, five, most):
    fin = ask(juliet, f"<max>{most}</max>")
    assert fin[0].get("complete") == "true" and [id for id, _ in results(juliet)] == five
