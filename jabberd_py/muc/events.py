"""What happens in a room, as the features of rooms hear it. Handlers of the first kind may refuse, by raising StanzaError."""

from ..events import Event

EVENTS = tuple(
    Event(name, tuple(arguments.split()), meaning, told)
    for told, events in (
        (
            False,
            (
                ("creating", "address stanza", "may this room be made?"),
                ("entering", "room occupant stanza", "may this session enter?"),
                ("naming", "room occupant nick stanza", "may this occupant have this nick?"),
                ("updating", "room occupant stanza", "may this presence be shown, this nick be taken?"),
                ("saying", "room occupant stanza", "may this be said to all?"),
                ("whispering", "room occupant target stanza", "may this be said to one occupant?"),
                (
                    "addressed",
                    "room occupant stanza",
                    "a message for the room itself; `occupant` may be None",
                ),
                ("asking", "room occupant target stanza", "an IQ request from one occupant to another"),
                ("configuring", "room values stanza", "may the room be set up so?"),
            ),
        ),
        (
            True,
            (
                ("seated", "room occupant", "an occupant has a nick"),
                (
                    "ranked",
                    "room occupant",
                    "an occupant has the role of its affiliation; another may be set",
                ),
                (
                    "loaded",
                    "room",
                    "a room was read from the store; what features keep of it may be read now",
                ),
                ("coming", "room", "somebody wants to enter; what the store has for them may be read now"),
                ("greeting", "room occupant full stanza", "a session enters, and has got nothing yet"),
                ("entered", "room occupant full stanza", "a session has entered, and knows who is there"),
                ("left", "room occupant", "an occupant is out"),
                (
                    "departed",
                    "room nick sessions",
                    "these sessions no longer have that nick: they have left, or have another",
                ),
                ("said", "room occupant stanza", "a message goes out to all"),
                ("shown", "room stanza", "a presence, or a notice of the room itself, goes out to all"),
                ("returned", "room stanza", "a message came back from an address that is not in the room"),
                ("given", "room occupant role", "an occupant is given another role"),
                ("affiliating", "room change", "an address has another affiliation"),
                ("configured", "room before statuses", "the room is set up anew"),
                (
                    "registering",
                    "room user form",
                    "a user gets the form of registration; a handler may add fields",
                ),
                (
                    "enrolled",
                    "room user fields tickets",
                    "a user has registered, or (`fields` is empty) is no longer registered",
                ),
                (
                    "forgotten",
                    "room user",
                    "an account is gone that the room's notes name; they are saved then",
                ),
                ("founded", "room stanza", "a room was made; its founder enters"),
                ("kept", "room", "a new room is in the store, or the store could not take it"),
                ("destroyed", "room", "a room is gone for good"),
            ),
        ),
    )
    for name, arguments, meaning in events
)
ARGUMENTS = {
    "room": "a `Room`",
    "occupant": "an `Occupant`",
    "target": "the other `Occupant`",
    "address": "the bare address of a room, as text",
    "nick": "a nick, prepared",
    "full": "the full address of a session, as text",
    "sessions": "full addresses of sessions, as text",
    "role": "the role that it will have",
    "form": "a `forms.Form`",
    "fields": "field -> values, as the user has submitted them",
    "tickets": "a list of tickets (or None) of what was written; a handler may add to it",
    "change": "a `Change`",
    "values": "field -> value, of what the form would change; a handler may add to it",
    "before": "field -> value, as it was",
    "statuses": "a set of status codes that the occupants will be told; a handler may add to it",
}
"""What the arguments are."""
