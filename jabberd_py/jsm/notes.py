"""The notes that modules can make on a session. All are declared here, so a wrong name fails when it is imported. Modules from
outside the tree declare their notes in their own files."""

from __future__ import annotations

from collections.abc import Iterator

_declared: dict[str, Note] = {}


class Note(str):
    """The key of a note in `Session.notes`. ``lasting``: the note is kept for a client that resumes the session after a restart
    (XEP-0198); its value must be of a type of JSON. Raises ValueError if the name is taken."""

    meaning: str
    lasting: bool

    def __new__(cls, name: str, meaning: str, lasting: bool = False) -> Note:
        if name in _declared:
            raise ValueError(f"two notes of a session have the name {name!r}")
        note = super().__new__(cls, name)
        note.meaning, note.lasting = meaning, lasting
        _declared[name] = note
        return note


def lasting() -> Iterator[Note]:
    """The notes that last."""
    return (note for note in _declared.values() if note.lasting)


INTERESTED = Note(
    "roster", "it has asked for the roster, and is told of changes (RFC 6121 2.2)", lasting=True
)
DIRECTED = Note(
    "presence.directed",
    "the addresses that have seen directed presence: a dict, address -> True",
    lasting=True,
)
PRIVACY_LIST = Note("privacy", "the name of its active privacy list (XEP-0016)", lasting=True)
PRIVACY_ASKED = Note("privacy-asked", "it deals with privacy lists, and is told of changes", lasting=True)
BLOCKING = Note(
    "urn:xmpp:blocking", "it has asked for the block list, and is told of changes (XEP-0191)", lasting=True
)
CARBONS = Note("urn:xmpp:carbons:2", "it gets copies of messages (XEP-0280)", lasting=True)
COPIED = Note("carbons: copied", "the ids of its last messages that were copied: a deque")
INACTIVE = Note("urn:xmpp:csi:0", "nobody looks at the client (XEP-0352)", lasting=True)
HELD = Note(
    "csi: held", "the stanzas that an inactive client does not get yet: a dict, kind and sender -> stanza"
)
CAPS = Note(
    "caps", "what its client can do (XEP-0115): (hash and ver, the features or None while it is asked)"
)
NO_PHOTO = Note(
    "avatar: none", "its client says in its presence that it has no photo to show (XEP-0153)", lasting=True
)
STATUS = Note("last", "the status of its last unavailable presence (XEP-0012)", lasting=True)
PICKING = Note("offline: flexible", "it picks its offline messages one by one (XEP-0013)", lasting=True)
SENT = Note("archive: sent", "the row number that its message will have in the sender's archive")
EXTERNAL = Note(
    "urn:xmpp:extdisco:2",
    "it has asked for external services of that type, empty for all, and is told of changes (XEP-0215)",
    lasting=True,
)
REGISTERED = Note("registered", "of a stream: how many accounts it has made (XEP-0077)")
INVITED = Note("invited", "of a stream: the link with which it may make an account (XEP-0445)")
ANSWERS = Note("answers", "the requests whose long answers wait for their turn: a deque")
