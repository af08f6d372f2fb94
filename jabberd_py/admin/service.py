"""XEP-0133: Service Administration. Each of its nodes is a form for commands of the registry; `TASKS` is the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..adhoc import Dialogue, Values, note, refusal
from ..commands import CommandError
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.forms import Form
from ..xmpp.ns import ROSTER
from ..xmpp.protocols import XEP

if TYPE_CHECKING:
    from .adhoc import Ask

PROTOCOLS = (XEP(133, "1.3.1", "Service Administration"),)
FORM = "http://jabber.org/protocol/admin"
PREFIX = f"{FORM}#"
VALUES = ("bad-request", "item-not-found")
"""Conditions that tell of wrong values: a note says so, and the command is completed (XEP-0050 section 3.6)."""
MOST = 5000
"""Addresses that one answer lists."""
COUNTS = ("25", "50", "75", "100", "150", "200")
DELAYS = {"30": "30 seconds", "60": "60 seconds", "90": "90 seconds", "120": "2 minutes", "180": "3 minutes",
          "240": "4 minutes", "300": "5 minutes"}  # fmt: skip


class Field(NamedTuple):
    """A field of a form. ``now``: gives the values that it has before anybody writes."""

    var: str
    type: str
    label: str
    required: bool = False
    options: tuple[tuple[str, str], ...] = ()
    now: Callable[[Ask], list[str]] | None = None


@dataclass(frozen=True)
class Task:
    """One node. ``needs``: the commands that it runs; who may run them may do the task. No ``fields``: no form."""

    title: str
    needs: tuple[str, ...]
    run: Callable[[Ask, Values], Iterable[Element]]
    instructions: str = ""
    fields: tuple[Field, ...] = ()

    def may(self, ask: Ask) -> bool:
        return all(name in ask.bound for name in self.needs)

    def dialogue(self, ask: Ask) -> Dialogue:
        """Raises StanzaError where a password would be read on its way."""
        if any(each.type == "text-private" for each in self.fields):
            ask.check_secure()
        pages = (partial(self._page, ask),) if self.fields else ()
        return Dialogue(self.title, partial(self._run, ask), pages, FORM)

    def _page(self, ask: Ask, given: Values) -> Form:
        form = Form("form", self.title, self.instructions, FORM)
        for each in self.fields:
            value = [] if each.now is None else each.now(ask)
            form.field(each.var, each.type, each.label, value, each.options, each.required)
        return form

    def _run(self, ask: Ask, values: Values) -> list[Element]:
        for each in self.fields:
            if each.required and not any(values.get(each.var, ())):
                raise refusal("bad-payload", f"{each.var} is missing")
        try:
            return [*self.run(ask, values)]
        except CommandError as error:
            # Smack takes each stanza error for a fault of the server's, and these are not in the XEP's table of errors.
            return [note(str(error), "error")] if error.condition in VALUES else failed(error)


def failed(error: CommandError) -> list[Element]:
    """A stanza error where there is one that fits; else the command is completed with a note that says what is wrong (XEP-0050
    section 3.6). Raises StanzaError."""
    if not error.condition:
        return [note(str(error), "error")]
    if error.condition == "bad-request":
        raise refusal("bad-payload", str(error))
    raise StanzaError(error.condition, str(error))


# -- what the tasks do -----------------------------------------------------------------------------------


def _one(values: Values, var: str, default: str = "") -> str:
    """Raises StanzaError."""
    texts = values.get(var) or [default]
    if len(texts) > 1:
        raise refusal("bad-payload", f"{var} has one value")
    return texts[0]


def _many(values: Values, var: str) -> list[str]:
    return list(dict.fromkeys(text.strip() for text in values.get(var, ()) if text.strip()))


def _jids(values: Values, full: bool = False) -> list[str]:
    """Raises StanzaError: blanks are no address. An address of a session stands for its account, unless ``full``."""
    jids = _many(values, "accountjids")
    if not full:
        jids = list(dict.fromkeys(map(_bare, jids)))
    if not jids:
        raise refusal("bad-payload", "accountjids is missing")
    return jids


def _jid(values: Values) -> str:
    """Raises StanzaError."""
    return _bare(_one(values, "accountjid").strip())


def _bare(jid: str) -> str:
    return jid.partition("/")[0]


def _lines(values: Values, var: str) -> str:
    return "\n".join(values.get(var, ()))


def _add(ask: Ask, values: Values) -> list[Element]:
    password = _one(values, "password")
    if _one(values, "password-verify") not in ("", password):
        return [note("the two passwords differ", "error")]
    more = {var: _one(values, var) for var in ("email", "given_name", "surname") if _one(values, var)}
    ask.do("accounts add", jid=_jid(values), password=password, **more)
    return []


def _each(name: str, ask: Ask, values: Values) -> list[Element]:
    """Runs a command for every account. What cannot be is told of those; if none can be, that is the error."""
    jids, errors = _jids(values, full=name == "accounts kick"), list[CommandError]()
    for jid in jids:
        try:
            ask.do(name, jid=jid)
        except CommandError as error:
            errors.append(error)
    if len(errors) == len(jids):
        raise errors[0]
    return [note(str(each), "error") for each in errors]


def _password(ask: Ask, values: Values) -> list[Element]:
    ask.do("accounts passwd", jid=_jid(values), password=_one(values, "password"))
    return []


def _roster(ask: Ask, values: Values) -> Iterable[Element]:
    for jid in _jids(values):
        query = Element("query", ROSTER)
        for row in ask.do("accounts roster", jid=jid):
            groups = (Element("group", ROSTER, group) for group in row["groups"])
            item = Element("item", ROSTER, *groups, jid=row["jid"], subscription=row["subscription"])
            item.attrs |= {key: row[key] for key in ("name", "ask") if row[key]}
            query.append(item)
        yield _result().field("accountjids", "jid-multi", None, [jid]).element().append(query)


def _last_login(ask: Ask, values: Values) -> list[Element]:
    jids = _jids(values)
    times = [ask.do("accounts show", jid=jid)["last_login"] for jid in jids]
    form = _result().field("accountjids", "jid-multi", "The Jabber ID(s)", jids)
    notes = [
        note(f"{jid} has never logged in") for jid, time in zip(jids, times, strict=True) if time is None
    ]
    form.field("lastlogin", None, "The last login", [time for time in times if time is not None])
    return [form.element(), *notes]


def _statistics(ask: Ask, values: Values) -> list[Element]:
    found, form = ask.do("accounts stats", jid=_jid(values)), _result()
    form.field("ipaddresses", "text-multi", "The IP addresses of the sessions", found["addresses"])
    form.field("rostersize", None, "Contacts", str(found["contacts"]))
    form.field("onlineresources", "text-multi", "The sessions", found["resources"])
    return [form.element()]


def _number(state: str, ask: Ask, values: Values) -> list[Element]:
    number = ask.do("accounts count")[state]
    return [_result().field(f"{state}usersnum", None, f"The number of {state} users", str(number)).element()]


def _list(state: str, var: str, ask: Ask, values: Values) -> list[Element]:
    wanted = _one(values, "max_items", "none") or "none"
    if wanted != "none" and not (
        wanted.isascii() and wanted.isdigit() and 0 < len(wanted) < 7 and int(wanted)
    ):
        raise refusal("bad-payload", "max_items is a number, or none")
    most = MOST if wanted == "none" else min(int(wanted), MOST)
    jids = [row["jid"] for row in ask.do("accounts list", state=state, first=most + 1)]
    form = _result().field(var, "jid-multi", f"The list of {state} users", jids[:most]).element()
    return [form, note(f"only the first {most}", "warn")] if len(jids) > most else [form]


def _announce(ask: Ask, values: Values) -> list[Element]:
    ask.do("announce", text=_lines(values, "announcement"))
    return []


def _text(name: str, var: str, ask: Ask, values: Values, **args: Any) -> list[Element]:
    ask.do(name, text=_lines(values, var), **args)
    return []


def _empty(name: str, ask: Ask, values: Values) -> list[Element]:
    ask.do(name, text="")
    return []


def _addresses(name: str, var: str, ask: Ask, values: Values) -> list[Element]:
    ask.do(name, jids="\n".join(_many(values, var)))
    return []


def _end(name: str, ask: Ask, values: Values) -> list[Element]:
    ask.do(name, delay=_one(values, "delay", "0") or "0", announcement=_lines(values, "announcement"))
    return []


def _result() -> Form:
    return Form("result", form_type=FORM)


# -- the table -------------------------------------------------------------------------------------------

ACCOUNT = Field("accountjid", "jid-single", "The Jabber ID for this account", True)
MAX_ITEMS = Field("max_items", "list-single", "Maximum number of items to show", False,
                  (*((each, each) for each in COUNTS), ("none", "None")))  # fmt: skip


def _accounts(doing: str) -> tuple[Field, ...]:
    return (Field("accountjids", "jid-multi", f"The Jabber ID(s) {doing}", True),)


def _numbered(state: str) -> Task:
    return Task(f"Get Number of {state.title()} Users", ("accounts count",), partial(_number, state))


def _listed(state: str, var: str) -> Task:
    return Task(f"Requesting List of {state.title()} Users", ("accounts list",), partial(_list, state, var),
                f"Fill out this form to request the {state} users of this service.", (MAX_ITEMS,))  # fmt: skip


def _edited(title: str, about: str, name: str, var: str) -> Task:
    now = Field(var, "jid-multi", f"The {name}", now=lambda ask: list(ask.do(f"{name} show")["jids"]))
    return Task(title, (f"{name} show", f"{name} set"), partial(_addresses, f"{name} set", var),
                f"Fill out this form to edit the list of {about}.", (now,))  # fmt: skip


def _written(title: str, doing: str, name: str, var: str, label: str, now: bool = True, **args: Any) -> Task:
    def text(ask: Ask) -> list[str]:
        found = str(ask.do(f"{name} show")["text"])
        return found.split("\n") if found else []

    return Task(title, (f"{name} show", f"{name} set"), partial(_text, f"{name} set", var, **args),
                f"Fill out this form to {doing}.",
                (Field(var, "text-multi", label, True, (), text if now else None),))  # fmt: skip


def _ended(title: str, doing: str, name: str) -> Task:
    options = tuple(DELAYS.items())
    return Task(title, (name,), partial(_end, name), f"Fill out this form to {doing} the service.", (
        Field("delay", "list-single", f"Time delay before {title.lower().removesuffix(' the service')}", False, options),
        Field("announcement", "text-multi", "Announcement"),
    ))  # fmt: skip


ADD = (
    Field("accountjid", "jid-single", "The Jabber ID for the account to be added", True),
    Field("password", "text-private", "The password for this account"),
    Field("password-verify", "text-private", "Retype password"),
    Field("email", "text-single", "Email address"),
    Field("given_name", "text-single", "Given name"),
    Field("surname", "text-single", "Family name"),
)
NODES: dict[str, Task] = {
    "add-user": Task("Adding a User", ("accounts add",), _add, "Fill out this form to add a user.", ADD),
    "delete-user": Task("Deleting a User", ("accounts delete",), partial(_each, "accounts delete"),
                        "Fill out this form to delete a user.", _accounts("to delete")),
    "disable-user": Task("Disabling a User", ("accounts disable",), partial(_each, "accounts disable"),
                         "Fill out this form to disable a user.", _accounts("to disable")),
    "reenable-user": Task("Re-Enable a User", ("accounts enable",), partial(_each, "accounts enable"),
                          "Fill out this form to re-enable a user.", _accounts("to re-enable")),
    "end-user-session": Task("Ending a User Session", ("accounts list", "accounts kick"), partial(_each, "accounts kick"),
                             "Fill out this form to end a user's session.", _accounts("for which to end sessions")),
    "change-user-password": Task("Changing a User Password", ("accounts list", "accounts passwd"), _password,
                                 "Fill out this form to change a user's password.",
                                 (ACCOUNT, Field("password", "text-private", "The password for this account", True))),
    "get-user-roster": Task("Getting a User's Roster", ("accounts list", "accounts roster"), _roster,
                            "Fill out this form to get a user's roster.", _accounts("for which to get the roster")),
    "get-user-lastlogin": Task("Getting a User's Last Login Time", ("accounts list", "accounts show"), _last_login,
                               "Fill out this form to get a user's last login time.",
                               _accounts("for which to get the last login time")),
    "user-stats": Task("Get User Statistics", ("accounts stats",), _statistics,
                       "Fill out this form to gather user statistics.", (ACCOUNT,)),
    "edit-blacklist": _edited("Editing the Blacklist", "entities with whom communications are disallowed", "blacklist",
                              "blacklistjids"),
    "edit-whitelist": _edited("Editing the Whitelist", "entities with whom communications are allowed", "whitelist",
                              "whitelistjids"),
    **{f"get-{state}-users-num": _numbered(state) for state in ("registered", "disabled", "online", "active", "idle")},
    "get-registered-users-list": _listed("registered", "registereduserjids"),
    "get-disabled-users-list": _listed("disabled", "disableduserjids"),
    "get-online-users-list": _listed("online", "onlineuserjids"),
    "get-active-users": _listed("active", "activeuserjids"),
    "get-idle-users": _listed("idle", "activeuserjids"),  # so it stands in example 74
    "announce": Task("Making an Announcement", ("announce",), _announce,
                     "Fill out this form to make an announcement to all active users of this service.",
                     (Field("announcement", "text-multi", "Announcement", True),)),
    "set-motd": _written("Setting the Message of the Day", "set the message of the day", "motd", "motd",
                         "Message of the Day", now=False, at_once=True),
    "edit-motd": _written("Editing the Message of the Day", "edit the message of the day", "motd", "motd",
                          "Message of the Day"),
    "delete-motd": Task("Delete Message of the Day", ("motd set",), partial(_empty, "motd set")),
    "set-welcome": _written("Setting Welcome Message", "set the welcome message for this service", "welcome", "welcome",
                            "Welcome Message"),
    "delete-welcome": Task("Delete Welcome Message", ("welcome set",), partial(_empty, "welcome set")),
    "edit-admin": _edited("Editing the Admin List", "administrators", "admins", "adminjids"),
    "restart": _ended("Restarting the Service", "restart", "restart"),
    "shutdown": _ended("Shutting Down the Service", "shut down", "stop"),
}  # fmt: skip
"""The tasks by node, without `PREFIX`. Those that owners may do for themselves, too, need `accounts list`: they are for
administrators only."""
