"""Load on a running server: `locust -f loadtest/locustfile.py --headless -u 50 -r 10 -t 20s [Scenario]`.

Mixed: thousands of users, each of whom chats with others, changes presence, pages the archive, pings, and with
--storm SECONDS loses the connection together with all others every so often.
LoginStorm: connect, log in, leave. ChatPairs: two sessions; from sending a message till the other has it.
Presence: two contacts; from changing a status till the other sees it.

Accounts load1, load2 ... of the domain are registered in-band at first use, or made before
(`jabberctl accounts add load1@DOMAIN --password ...`). Workers (--master here, --worker there) take
--accounts each. `python -m loadtest.swarm` (make swarm) starts a server with accounts, master and workers.
"""

import itertools
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

import gevent
from gevent.event import Event
from locust import User, between, constant, events, task
from xmpp_user import TIMEOUT, Failed, Node, Session, befriend

numbers = itertools.count(1)


@events.init_command_line_parser.add_listener
def options(parser) -> None:
    parser.add_argument("--domain", env_var="XMPP_DOMAIN", default="localhost", help="its domain")
    parser.add_argument("--port", env_var="XMPP_PORT", type=int, default=5222, help="its port at --host")
    parser.add_argument(
        "--tls", env_var="XMPP_TLS", default="starttls", choices=["starttls", "direct", "none"]
    )
    parser.add_argument("--password", env_var="XMPP_PASSWORD", default="load", help="of the accounts loadN")
    parser.add_argument("--accounts", type=int, default=1_000_000, help="that each worker has for itself")
    parser.add_argument(
        "--storm", type=float, default=0, help="Mixed: all reconnect each so many seconds; 0: never"
    )


class XmppUser(User):
    abstract = True
    host = "127.0.0.1"

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        """One line of the statistics: the time the block takes, in ms; failures are counted, not raised."""
        start, failure = time.perf_counter(), None
        try:
            yield
        except (Failed, OSError) as error:
            failure = error
        self.environment.events.request.fire(
            request_type="xmpp",
            name=name,
            response_time=(time.perf_counter() - start) * 1000,
            response_length=0,
            exception=failure,
            context={},
        )

    def number(self) -> int:
        """One that no other user has, on no other locust worker."""
        return next(numbers) + self.environment.parsed_options.accounts * max(
            getattr(self.environment.runner, "worker_index", 0), 0
        )

    def session(self, number: int) -> Session:
        given = self.environment.parsed_options
        address = (self.environment.host or self.host, given.port)
        return Session(address, given.domain, f"load{number}", given.password, given.tls)

    def prepared(self) -> Session:
        """Logged in, its account made if it was not there."""
        number = self.number()
        try:
            return self.entered(self.session(number))
        except Failed:
            newcomer = self.session(number)
            newcomer.connect()
            newcomer.register()
            newcomer.close()
        return self.entered(self.session(number))

    def entered(self, session: Session) -> Session:
        session.connect()
        try:
            session.login()
        except Failed:
            session.close()
            raise
        return session


class LoginStorm(XmppUser):
    wait_time = constant(0)

    def on_start(self) -> None:
        first = self.prepared()
        self.account = int(first.user.removeprefix("load"))
        first.close()

    @task
    def login(self) -> None:
        with self.measured("login"):
            self.entered(self.session(self.account)).close()


class Pair(XmppUser):
    abstract = True
    wait_time = between(0.1, 0.5)

    def on_start(self) -> None:
        self.one, self.other = self.prepared(), self.prepared()

    def on_stop(self) -> None:
        self.one.close()
        self.other.close()

    @task(1)
    def ping(self) -> None:
        with self.measured("ping"):
            self.one.ping()


class ChatPairs(Pair):
    @task(9)
    def chat(self) -> None:
        number = f"c{next(Session.ids)}"
        with self.measured("chat"):
            self.one.send(
                f"<message type='chat' to='{self.other.jid}' id='{number}'><body>"
                "But, soft! what light through yonder window breaks?</body></message>"
            )
            self.other.get("message", id=number)
        self.one, self.other = self.other, self.one


class Presence(Pair):
    def on_start(self) -> None:
        super().on_start()
        befriend(self.one, self.other)
        self.away = False

    @task(9)
    def toggle(self) -> None:
        self.away = not self.away
        number = f"p{next(Session.ids)}"
        show = "<show>away</show>" if self.away else ""
        with self.measured("presence"):
            self.one.send(f"<presence id='{number}'>{show}</presence>")
            self.other.get("presence", id=number)


class Mixed(XmppUser):
    wait_time = between(1, 5)
    online: list["Mixed"] = []
    expected: dict[str, Event] = {}
    """Messages on their way, by id: all users of this process know each other."""

    def on_start(self) -> None:
        self.xmpp = self.prepared()
        self.account = int(self.xmpp.user.removeprefix("load"))
        self.here()

    def here(self) -> None:
        self.xmpp.on_stanza = self.came
        self.epoch = self.storms()
        self.online.append(self)

    def gone(self) -> None:
        if self in self.online:
            self.online.remove(self)
        self.xmpp.close()

    def on_stop(self) -> None:
        if self in self.online:  # else it never got in, or is just coming back
            self.gone()

    def storms(self) -> int:
        """How many there have been: the same number for all workers, as they share the clock."""
        every = self.environment.parsed_options.storm
        return int(time.time() / every) if every else 0

    def came(self, node: Node) -> None:
        event = self.expected.get(node.attrs.get("id", ""))
        if event is not None and node.name == "message":
            event.set()

    @task(60)
    def chat(self) -> None:
        other = random.choice(self.online or [self])
        number = f"{other.xmpp.user}-{next(Session.ids)}"
        event = self.expected[number] = Event()
        try:
            with self.measured("chat"):
                self.xmpp.send(
                    f"<message type='chat' to='{other.xmpp.jid}' id='{number}'><body>"
                    "What's in a name? That which we call a rose</body></message>"
                )
                if not event.wait(TIMEOUT):
                    raise Failed("the message did not come")
        finally:
            del self.expected[number]
        self.weather()

    @task(20)
    def presence(self) -> None:
        number = f"p{next(Session.ids)}"
        with self.measured("presence"):
            self.xmpp.send(
                f"<presence id='{number}'><show>{random.choice(('away', 'chat'))}</show></presence>"
            )
            self.xmpp.get("presence", id=number)
        self.weather()

    @task(10)
    def archive(self) -> None:
        with self.measured("archive"):
            self.xmpp.iq(
                "set",
                "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>"
                "<max>20</max><before/></set></query>",
            )
        self.weather()

    @task(10)
    def ping(self) -> None:
        with self.measured("ping"):
            self.xmpp.ping()
        self.weather()

    def weather(self) -> None:
        """Reconnects if there was a storm, or if the connection is lost."""
        if self.epoch == self.storms() and self.xmpp.reader:
            return
        self.gone()
        with self.measured("reconnect"):
            self.xmpp = self.entered(self.session(self.account))
            self.here()
            return
        gevent.sleep(1)  # refused: this user comes back with its next task
