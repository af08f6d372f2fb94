"""Large stanzas: built in turns, the same trees as at once."""

from jabberd_py.xmpp.element import from_text
from jabberd_py.xmpp.large import SLICE, payload_text, unfold, verbatim
from jabberd_py.xmpp.parser import reread


def test_a_tree_is_the_same_in_slices():
    small = "".join(f"<a n='{n}'>ü{n}&amp;<b/></a>" for n in range(2000))
    text = f"<iq type='set' id='1' from='a@b/c'><x xmlns='u:x'>{small}</x></iq>"
    stanza, turns = reread(text.encode()), []

    def counted(slices):
        for each in slices:
            turns.append(each)
            yield each

    unfold(stanza, counted)
    assert len(turns) > len(small) / SLICE
    stanza.attrs["id"] = "1"
    whole = from_text(text)
    assert [str(child) for child in stanza.elements()] == [str(child) for child in whole.elements()]


def test_an_answer_as_it_is_stored():
    request = reread(b"<iq type='get' id='1' from='a@b/c'><vCard xmlns='vcard-temp'/></iq>")
    xml = "<vCard xmlns='vcard-temp'><FN>\u2665</FN></vCard>"
    assert str(verbatim(request, xml)) == f"<iq type='result' id='1' to='a@b/c'>{xml}</iq>"


def test_what_stands_beside_the_payload_is_not_stored():
    card = "<vCard xmlns='vcard-temp'><FN>x</FN></vCard>"
    for inner in (card, f" {card}\n", f"junk>{card}"):
        assert payload_text(reread(f"<iq type='set' id='1'>{inner}</iq>".encode())) == card
