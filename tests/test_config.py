"""The configuration: where values come from, what is refused and in which words, and the sample file."""

import re

import pytest
import yaml

from jabberd_py.config import (
    ConfigError,
    Option,
    OptionError,
    Schema,
    Section,
    duration,
    list_of,
    load,
    mapping_of,
    optional,
    options_markdown,
    sample,
    size,
)


class Top(Section):
    """What concerns the whole server."""

    data = Option(str, "./data", "the folder of everything that is kept")


class C2S(Section):
    """Where clients connect."""

    address = Option(str, "::", "the address to listen on")
    port = Option(int, 5222, "the port for STARTTLS", min=0, max=65535)
    limit = Option(size, "256 KiB", "the largest stanza", min="1 KiB")
    idle = Option(duration, "5m", "how long a stream may be silent", min="1s")
    certificate = Option(optional(str), None, "a certificate instead of our own | the host's")


class Log(Section):
    """What is logged."""

    level = Option(str, "info", "the lowest level", choices=["debug", "info", "warning", "error"])
    colours = Option(bool, True, "use colours on a terminal")
    share = Option(float, 0.5, "a number", min=0, max=1)
    levels = Option(mapping_of(str), {}, "levels of parts of the server")


class Host(Section):
    """A domain."""

    admins = Option(list_of(str), [], "who may do everything")


class Component(Section):
    """An external service."""

    secret = Option(str, "", "what it must know")


class Register:
    """In-band registration."""

    name, default = "register", False
    limit = Option(int, 3, "how often an address may", min=1)


class Motd:
    """Message of the day."""

    name, default = "motd", True
    text = Option(str, "Hello: it's a\nnew day", "what to say")


SCHEMA = Schema(
    sections={"c2s": C2S, "log": Log},
    modules={"register": Register, "motd": Motd},
    host=Host,
    top=Top,
    component=Component,
)


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """Load a file of this text, by the name it would have in errors: conf.yaml."""
    monkeypatch.chdir(tmp_path)

    def load_text(text="", *overrides, **environ):
        (tmp_path / "conf.yaml").write_text(text)
        return load("conf.yaml", list(overrides), environ, schema=SCHEMA)

    return load_text


# -- values ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("convert", "given", "value"),
    [
        (bool, "yes", True),
        (bool, "On", True),
        (bool, "false", False),
        (bool, True, True),
        (int, "12", 12),
        (float, "0.5", 0.5),
        (str, 12, "12"),
        (duration, "10s", 10.0),
        (duration, "1.5h", 5400.0),
        (duration, "30d", 2592000.0),
        (duration, "250ms", 0.25),
        (duration, "7", 7.0),
        (duration, 7, 7.0),
        (size, "64k", 65536),
        (size, "256 KiB", 262144),
        (size, "1MiB", 1048576),
        (size, "10 B", 10),
        (size, 10, 10),
        (list_of(int), ["1", 2], [1, 2]),
        (list_of(int), "1", [1]),
        (optional(int), None, None),
        (optional(int), "1", 1),
        (mapping_of(duration), {"a": "1m"}, {"a": 60.0}),
    ],
)
def test_a_value_becomes_its_type_and_stays_itself(convert, given, value):
    option = Option(convert, given, "")
    assert option.default == value and type(option.default) is type(value)
    assert option.convert(value) == value
    assert option.convert(option.show(value)) == value


@pytest.mark.parametrize(
    ("convert", "given"),
    [
        *((bool, bad) for bad in (1, 0, "1", "maybe", "", None, [])),
        *((int, bad) for bad in (True, 1.5, "1.5", "x", None, [])),
        *((float, bad) for bad in (True, "nan", "inf", "x", None)),
        *((str, bad) for bad in (None, True, ["a"], {})),
        *((duration, bad) for bad in ("5 years", "-1s", -1, "s", "", None, True, "1e400")),
        *((size, bad) for bad in ("64x", "-1", -1, "k", "", None, True)),
        *((list_of(int), bad) for bad in (None, {}, ["x"])),
        (optional(int), "x"),
        (mapping_of(int), []),
    ],
)
def test_a_wrong_value_is_refused(convert, given):
    with pytest.raises(ValueError, match="must be"):
        Option(convert, given, "")


def test_bounds_and_choices_hold_for_each_item_of_a_list():
    option = Option(list_of(int), [], "", min=1, max=9)
    with pytest.raises(ValueError, match="must be at most 9, not 10"):
        option.convert([1, 10])
    with pytest.raises(ValueError, match="one of a, b, not 'c'"):
        Option(list_of(str), [], "", choices=["a", "b"]).convert(["a", "c"])


def test_a_function_of_ones_own_may_convert():
    def even(text):
        if int(text) % 2:
            raise ValueError("must be even")
        return int(text)

    assert Option(even, "4", "").default == 4
    with pytest.raises(ValueError, match="must be even"):
        Option(even, "3", "")


def test_a_section_reads_its_options_and_those_of_its_bases():
    class More(C2S):
        own = Option(int, 1, "")

    assert list(More.options()) == ["address", "port", "limit", "idle", "certificate", "own"]
    assert (More({"port": "1", "own": "2"}).port, More({"own": "2"}).own, More().port) == (1, 2, 5222)
    assert isinstance(More.port, Option)
    with pytest.raises(OptionError, match="did you mean 'port'") as caught:
        More({"prt": 1})
    assert caught.value.option == "prt"


def test_two_meanings_of_one_name_are_found_at_start():
    with pytest.raises(TypeError):
        Schema(sections={"data": C2S}, modules={}, top=Top)
    with pytest.raises(TypeError):
        Schema(sections={}, modules={"bad": type("Bad", (), {"enabled": Option(bool, True, "")})})


# -- where they come from --------------------------------------------------------------------------------


def test_without_a_file_everything_is_at_its_default():
    config = load(None, schema=SCHEMA)
    assert (config.top.data, config["c2s"].port, config["c2s"].limit) == ("./data", 5222, 262144)
    assert list(config.hosts) == ["localhost"] and config.hosts["localhost"].enabled == ["motd"]


def test_scalars_are_text_until_an_option_wants_something_else(conf):
    config = conf("data: 0123\nc2s: {address: 12:30}\nlog: {colours: no}\nmodules: {motd: {text: no}}")
    assert (config.top.data, config["c2s"].address, config["log"].colours) == ("0123", "12:30", False)
    assert config.hosts["localhost"].modules["motd"] == {"text": "no"}


def test_set_wins_over_the_environment_which_wins_over_the_file(conf):
    text = "c2s: {port: 1, idle: 1s, address: a}"
    assert conf(text)["c2s"].settings == {"port": 1, "idle": 1.0, "address": "a"}
    section = conf(text, "c2s.port=3", JABBERD_C2S__PORT="2", JABBERD_C2S__IDLE="2s", HOME="/")["c2s"]
    assert (section.port, section.idle, section.address) == (3, 2.0, "a")


@pytest.mark.parametrize(
    ("override", "domain", "value"),
    [
        ("hosts.example.org.admins=[a@b, c@d]", "example.org", ["a@b", "c@d"]),
        ("hosts.example.org.admins=a@b", "example.org", ["a@b"]),
        ("hosts.example.org={admins: [a@b]}", "example.org", ["a@b"]),
        ("hosts.example.org=", "example.org", []),
        ("hosts={example.org: {admins: a@b}}", "example.org", ["a@b"]),
        ("hosts=[example.org, example.com]", "example.com", []),
        ("hosts.modules.example.admins=x", "modules.example", ["x"]),
    ],
)
def test_a_domain_may_contain_dots_in_a_path(conf, override, domain, value):
    assert conf("hosts: {localhost: }", override).hosts[domain].section.admins == value


def test_set_reaches_the_modules_of_a_host(conf):
    text = "hosts: {example.org: {modules: {motd: {text: a}}}, other: }"
    config = conf(text, "hosts.example.org.modules.register.limit=9", "hosts.example.org.modules.motd=no")
    host = config.hosts["example.org"]
    assert (host.enabled, host.idle, host.modules["register"]) == ([], ["register"], {"limit": 9})
    assert config.hosts["other"].enabled == ["motd"]


def test_components_are_told_in_every_place(conf):
    text = "components: {irc.example.org: {secret: one}}"
    environ = {"JABBERD_COMPONENTS__IRC_EXAMPLE_ORG__SECRET": "two"}
    for config, secret in ((conf(text), "one"), (conf(text, **environ), "two"), (conf(text), "one")):
        assert config.components["irc.example.org"].secret == secret
    config = conf(text, "components.irc.example.org.secret=three", "components.sms.org.secret=4", **environ)
    assert {domain: each.secret for domain, each in config.components.items()} == {
        "irc.example.org": "three",
        "sms.org": "4",
    }
    error = config.error("does not work", "components", "irc.example.org", "name")
    assert str(error) == "conf.yaml:1: components.irc.example.org.name: does not work"


def test_setting_hosts_replaces_them_all(conf):
    assert list(conf("hosts: {a.org: {admins: x}}", "hosts=[b.org]").hosts) == ["b.org"]
    assert list(conf("hosts: {a.org: {admins: x}}", JABBERD_HOSTS="[b.org, c.org]").hosts) == [
        "b.org",
        "c.org",
    ]


def test_the_environment_reaches_everything(conf):
    environ = {
        "JABBERD_DATA": "/srv",
        "JABBERD_LOG__COLOURS": "off",
        "JABBERD_C2S__ADDRESS": "::1",
        "JABBERD_MODULES__REGISTER__LIMIT": "7",
        "JABBERD_HOSTS": "[example.org]",
        "JABBERD_HOSTS__EXAMPLE_ORG__ADMINS": "[a@b]",
        "JABBERD_HOSTS__EXAMPLE_ORG__MODULES__MOTD": "no",
    }
    config = conf("", **environ)
    assert (config.top.data, config["log"].colours, config["c2s"].address) == ("/srv", False, "::1")
    host = config.hosts["example.org"]
    assert (host.section.admins, host.enabled, host.modules["register"]) == (
        ["a@b"],
        [],
        {"limit": 7},
    )


# -- modules ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shared", "own", "loaded"),
    [
        ("", "", False),
        ("register: true", "", True),
        ("register: {limit: 5}", "", False),
        ("register: {limit: 5, enabled: yes}", "", True),
        ("register: {}", "", False),
        ("register: ", "", False),
        ("register: {limit: 5, enabled: no}", "", False),
        ("register: true", "register: false", False),
        ("register: false", "register: true", True),
        ("register: false", "register: {limit: 5}", False),
        ("register: true", "register: {limit: 5}", True),
        ("register: true", "register: {enabled: false}", False),
        ("register: true", "register: ", True),
    ],
)
def test_a_host_has_the_last_word_about_a_module(conf, shared, own, loaded):
    config = conf(f"modules: {{{shared}}}\nhosts: {{localhost: {{modules: {{{own}}}}}}}")
    assert ("register" in config.hosts["localhost"].enabled) is loaded


def test_settings_of_a_host_are_merged_into_those_for_all(conf):
    config = conf(
        "modules: {register: {limit: 5}}\nhosts: {a.org: , b.org: {modules: {register: {limit: 6}}}}"
    )
    assert [config.hosts[each].modules["register"] for each in ("a.org", "b.org")] == [
        {"limit": 5},
        {"limit": 6},
    ]


def test_a_switched_off_module_stays_off_when_an_option_of_it_is_set(conf):
    config = conf("modules: {motd: false}", "modules.motd.text=hi")
    assert config.hosts["localhost"].enabled == []
    assert config.hosts["localhost"].modules["motd"] == {"text": "hi"}


@pytest.mark.parametrize(
    ("text", "enabled"),
    [
        ("", ["motd", "trim"]),
        ("modules: {motd: false}", []),
        ("modules: {motd: false, trim: true}", ["trim"]),
    ],
)
def test_what_is_on_by_default_goes_with_what_it_needs(conf, monkeypatch, text, enabled):
    class Trim:
        """Trims."""

        name, default, needs = "trim", True, ("motd",)

        @classmethod
        def options(cls):
            return {}

    monkeypatch.setitem(SCHEMA.modules, "trim", Trim)
    assert conf(text).hosts["localhost"].enabled == enabled


def test_domains_are_prepared(conf):
    assert list(conf("hosts: {Example.ORG: }").hosts) == ["example.org"]


# -- errors: one line, with the place --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "\nprt: 1",
            "conf.yaml:2: prt: no such option (known: data, c2s, log, hosts, components, modules, services)",
        ),
        ("dta: 1", "conf.yaml:1: dta: no such option (did you mean 'data'?)"),
        ("log:\nc2s:\n  prt: 1", "conf.yaml:3: c2s.prt: no such option (did you mean 'port'?)"),
        ("c2s:\n  port: x", "conf.yaml:2: c2s.port: must be a whole number, not 'x'"),
        ("c2s:\n  port:", "conf.yaml:2: c2s.port: must be a whole number, not nothing"),
        ("c2s:\n\n  port: 65536", "conf.yaml:3: c2s.port: must be at most 65535, not 65536"),
        ("c2s: {limit: 1}", "conf.yaml:1: c2s.limit: must be at least 1 KiB, not 1 B"),
        ("c2s: {idle: 1ms}", "conf.yaml:1: c2s.idle: must be at least 1s, not 1ms"),
        (
            "c2s: {idle: soon}",
            "conf.yaml:1: c2s.idle: must be a duration such as 10s, 5m, 1h or 30d, not 'soon'",
        ),
        ("c2s: {address: [a]}", "conf.yaml:1: c2s.address: must be text, not ['a']"),
        (
            "log:\n  level: inf",
            "conf.yaml:2: log.level: must be one of debug, info, warning, error, not 'inf'"
            " (did you mean 'info'?)",
        ),
        ("log: {colours: 1}", "conf.yaml:1: log.colours: must be yes or no, not '1'"),
        ("c2s: 5", "conf.yaml:1: c2s: must be a mapping of options to values, not '5'"),
        ("a list", "conf.yaml:1: must be a mapping, not 'a list'"),
        ("data: a\ndata: b", "conf.yaml:2: data: given twice (first on line 1)"),
        ("c2s:\n  port: 1\n  port: 2", "conf.yaml:3: c2s.port: given twice (first on line 2)"),
        ("c2s:\n  [a]: 1", "conf.yaml:2: a name is wanted before the colon"),
        ("c2s:\n\tport: 1", "conf.yaml:2: not YAML: found character '\\t' that cannot start any token"),
        ("c2s: {port: 1", "conf.yaml:1: not YAML: expected ',' or '}', but got '<stream end>'"),
        ("data: &a\n  b: *a", "conf.yaml:1: nested too deeply"),
        ("data: \x01", "conf.yaml: not YAML: special characters are not allowed"),
        (
            "modules:\n  regster: yes",
            "conf.yaml:2: modules.regster: no such module (did you mean 'register'?)",
        ),
        (
            "modules:\n  register:\n    limt: 1",
            "conf.yaml:3: modules.register.limt: no such option (did you mean 'limit'?)",
        ),
        (
            "modules:\n  register:\n    enable: 1",
            "conf.yaml:3: modules.register.enable: no such option (did you mean 'enabled'?)",
        ),
        (
            "modules:\n  register:\n    enabled: 1",
            "conf.yaml:3: modules.register.enabled: must be yes or no, not '1'",
        ),
        (
            "modules:\n  register: often",
            "conf.yaml:2: modules.register: must be yes, no or a mapping of options, not 'often'",
        ),
        ("modules: [a]", "conf.yaml:1: modules: must be a mapping of options to values, not ['a']"),
        (
            "hosts:\n  a.org:\n    admin: x",
            "conf.yaml:3: hosts.a.org.admin: no such option (did you mean 'admins'?)",
        ),
        (
            "hosts:\n  a.org:\n    modules: {register: {limit: 0}}",
            "conf.yaml:3: hosts.a.org.modules.register.limit: must be at least 1, not 0",
        ),
        ("hosts: {}", "conf.yaml:1: hosts: at least one domain is wanted"),
        ("hosts: [a, a]", "conf.yaml:1: hosts: the same domain twice"),
        ("hosts:\n  a:\n  A:", "conf.yaml:3: hosts.A: the same domain as a"),
        ("hosts:\n  a b:", "conf.yaml:2: hosts.a b: not a domain"),
        ("components:\n  a b:", "conf.yaml:2: components.a b: not a domain"),
        ("components:\n  localhost:", "conf.yaml:2: components.localhost: localhost is a host"),
        ("components:\n  a:\n  A:", "conf.yaml:3: components.A: the same domain as a"),
        (
            "components:\n  irc.a:\n    secert: x",
            "conf.yaml:3: components.irc.a.secert: no such option (did you mean 'secret'?)",
        ),
        ("hosts: [{a: b}]", "conf.yaml:1: hosts: must be a mapping of options to values, not [{'a': 'b'}]"),
        ('"da\\nta\\e[2J": 1', "conf.yaml:1: da ta [2J: no such option (did you mean 'data'?)"),
    ],
)
def test_an_error_in_the_file_has_its_line(conf, text, error):
    with pytest.raises(ConfigError) as caught:
        conf(text)
    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("override", "error"),
    [
        ("c2s.prt=1", "--set: c2s.prt: no such option (did you mean 'port'?)"),
        ("c2s.port=x", "--set: c2s.port: must be a whole number, not 'x'"),
        ("c2s.port=", "--set: c2s.port: must be a whole number, not nothing"),
        ("c2s={prt: 1}", "--set: c2s.prt: no such option (did you mean 'port'?)"),
        ("c2s.port", "--set: 'c2s.port' is not of the form path.to.option=value"),
        ("c2s..port=1", "--set: 'c2s..port=1' is not of the form path.to.option=value"),
        ("hosts=[a", "--set: hosts: cannot read '[a': expected ',' or ']', but got '<stream end>'"),
        ("c2s={port: 1, port: 2}", "--set: c2s: port: given twice (first on line 1)"),
        ("c2s.port.x=1", "--set: c2s.port.x: c2s.port holds no options"),
        ("hosts.a.org.admn=x", "--set: hosts.a.org.admn: no such option (did you mean 'admins'?)"),
        ("hosts.a.org.modules.motd.txt=x", "--set: hosts.a.org.modules.motd.txt: no such option"),
        (
            "hosts.a.org.modules.mtd=no",
            "--set: hosts.a.org.modules.mtd: no such module (did you mean 'motd'?)",
        ),
    ],
)
def test_an_error_in_an_override_says_so(conf, override, error):
    with pytest.raises(ConfigError) as caught:
        conf("c2s:\n  port: 1", override)
    assert str(caught.value).startswith(error)


def test_an_error_in_the_environment_names_the_variable(conf):
    with pytest.raises(ConfigError) as caught:
        conf("c2s: {port: 1}", JABBERD_C2S__PORT="x")
    assert str(caught.value) == "JABBERD_C2S__PORT: c2s.port: must be a whole number, not 'x'"
    with pytest.raises(
        ConfigError, match="^JABBERD_C2S__PROT: c2s.prot: no such option .did you mean 'port'"
    ):
        conf("", JABBERD_C2S__PROT="1")


def test_a_right_override_of_a_wrong_value_is_enough(conf):
    assert conf("c2s: {port: x}", "c2s.port=1")["c2s"].port == 1


def test_a_file_that_cannot_be_read_is_one_line_too(tmp_path):
    with pytest.raises(ConfigError, match="none.yaml: cannot read: No such file or directory$"):
        load(str(tmp_path / "none.yaml"), schema=SCHEMA)
    (tmp_path / "binary.yaml").write_bytes(b"data: \xff")
    with pytest.raises(ConfigError, match="binary.yaml: not YAML: invalid start byte$"):
        load(str(tmp_path / "binary.yaml"), schema=SCHEMA)


# -- what is generated -----------------------------------------------------------------------------------


def test_the_sample_says_nothing_but_the_defaults(conf):
    assert conf(sample(SCHEMA)).sections["c2s"].settings == {}
    assert list(conf(sample(SCHEMA)).hosts) == ["localhost"]


def test_every_line_of_the_sample_may_be_taken_into_use(conf):
    text, changed = re.subn(r"(?m)^( *)#(\w+:)", r"\1\2", sample(SCHEMA))
    assert changed == 1 + 5 + 4 + 2 + 2 + 1
    config, defaults = conf(text), load(None, schema=SCHEMA)
    for name, section in config.sections.items():
        assert section.settings == {key: getattr(defaults[name], key) for key in section.options()}
    host = config.hosts["localhost"]
    assert host.enabled == ["motd"]
    assert host.modules == {"register": {"limit": 3}, "motd": {"text": "Hello: it's a\nnew day"}}


def test_the_sample_is_pleasant_to_read():
    text = sample(SCHEMA)
    assert "  # the largest stanza (size; at least 1 KiB)\n  #limit: 256 KiB\n" in text
    assert "  # use colours on a terminal (yes/no)\n  #colours: true\n" in text
    assert max(map(len, text.splitlines())) <= 100
    assert yaml.safe_load(text)["modules"] == {"register": None, "motd": None}


def test_the_table_has_every_option_and_its_variable():
    text = options_markdown(SCHEMA)
    assert "| `port` | integer; 0 to 65535 | `5222` | the port for STARTTLS | `JABBERD_C2S__PORT` |" in text
    assert "| `idle` | duration; at least 1s | `5m` |" in text
    assert "our own \\| the host's" in text
    assert "`JABBERD_HOSTS__<DOMAIN>__ADMINS`" in text and "`JABBERD_MODULES__REGISTER__LIMIT`" in text
    assert "### `modules.register`\n\nIn-band registration.\n\nOff by default.\n" in text
