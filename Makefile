# make help

PYTHON ?= python3
VENV   ?= .venv
PY     := $(VENV)/bin/python
PIP     = $(PY) -m pip install --quiet --disable-pip-version-check
HOST   ?= localhost
USERS  ?= 200
TIME   ?= 60s
SLOW    = tests/acceptance tests/clients tests/crash tests/federation tests/xdb
SERVICES = tests/admin tests/http tests/muc tests/pubsub tests/services
STORING = tests/c2s/test_sasl.py tests/c2s/test_sm.py tests/c2s/test_stream.py tests/ctl/test_accounts.py \
    tests/ctl/test_jabberctl.py tests/ctl/test_portable.py tests/modules tests/rfc6121

# Under three minutes: of rows that are alike one.
QUICK_ROWS = login,chat 1,chat 8,chat TLS 8,chat +,chat by,chat WebSocket 1,chat BOSH,file,presence,room,offline,idle,users,many sessions plain,fairness: messages,fairness: archive,fairness: never,fairness: roster

.DEFAULT_GOAL := help
.PHONY: run account webchat install uninstall must-be-root test test-slow test-services test-quick test-databases test-mariadb test-postgres lint docs conf load swarm bench profile help clean

run: $(VENV)/run.stamp jabberctl  ## start the server here; ARGS="--set c2s.port=5333" for options
	@exec $(PY) -m jabberd_py $(ARGS)

account: $(VENV)/run.stamp jabberctl  ## make an account: JID=you@localhost; asks for the password
	@[ -n "$(JID)" ] || { echo "which one? make account JID=you@localhost" >&2; exit 2; }
	@./jabberctl accounts add '$(JID)'

# Works at once, from any folder: `make run` leaves it here.
jabberctl: Makefile
	@printf '%s\n' '#!/bin/sh' 'JABBERCTL_HOME=$$(dirname "$$(readlink -f "$$0")")' \
	    'export JABBERCTL_HOME PYTHONPATH="$$JABBERCTL_HOME"' \
	    'exec "$(abspath $(VENV))/bin/python" -m jabberd_py.ctl "$$@"' >$@
	@chmod 755 $@

# One package, without what it needs to be built; its checksum is pinned.
CONVERSE     = converse.js-14.0.0
CONVERSE_SHA = 634f31fa0f7b0e47f1abc60d870ff6805c737577399920ebe92da4c7e5bcaff0
DATA        ?= data

webchat:  ## get Converse.js from npm: the chat at /chat; DATA=folder if the server's data are elsewhere
	@set -e; mkdir -p "$(DATA)"; rm -rf "$(DATA)/webchat.new"; mkdir "$(DATA)/webchat.new"; cd "$(DATA)/webchat.new"; \
	    npm pack --silent $(subst js-,js@,$(CONVERSE)) >/dev/null; echo "$(CONVERSE_SHA)  $(CONVERSE).tgz" | sha256sum --check --quiet; \
	    tar -xzf $(CONVERSE).tgz --strip-components=1 package/dist package/LICENSE; rm $(CONVERSE).tgz; \
	    rm -rf ../webchat; mv ../webchat.new ../webchat; echo "The chat is there: at /chat of the web server, where the console is at /console"

test: $(VENV)/dev.stamp  ## all tests; ARGS="-k roster" for some; PARTS=1: in parts, two at a time, on all databases
ifdef PARTS
	@$(MAKE) --no-print-directory --jobs=2 --keep-going test-slow test-services test-quick test-mariadb test-postgres
else
	$(PY) -m pytest $(ARGS)
endif

# Runs pytest with these arguments. Several runs on one machine disturb each other: what failed runs once more, and
# the run fails if it fails again. `last-failed` keeps the list, and both reports are printed.
define with_others
	@$(PY) -m pytest -o cache_dir=.pytest_cache/$@ $(1) $(ARGS) || { code=$$?; [ $$code = 1 ] || exit $$code; \
	    echo "$@: these failed beside another run; once more:"; \
	    $(PY) -m pytest -o cache_dir=.pytest_cache/$@ --last-failed --last-failed-no-failures none $(1) $(ARGS); }
endef

test-slow: $(VENV)/dev.stamp  ## the tests that wait for other people's programs, for pip and for disks
	$(call with_others,$(SLOW))

test-services: $(VENV)/dev.stamp  ## the tests of rooms, nodes, files and the web
	$(call with_others,$(SERVICES))

test-quick: $(VENV)/dev.stamp  ## all others
	$(call with_others,tests $(addprefix --ignore=,$(SLOW) $(SERVICES)))

test-databases:  ## the tests that keep something, on MariaDB and on PostgreSQL
	@$(MAKE) --no-print-directory --jobs=2 --output-sync test-mariadb test-postgres

test-mariadb test-postgres: test-%: $(VENV)/dev.stamp
	$(call with_others,-q --database $* $(STORING))

lint: $(VENV)/dev.stamp  ## style, types, layers, file sizes, generated files up to date
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	@find jabberd_py -name '*.py' -exec wc -l {} + | awk '$$2 != "total" && $$1 > 400 \
	    { print $$2 ": " $$1 " lines, more than 400"; bad = 1 } END { exit bad }'
	$(PY) -m jabberd_py.ctl.docs check

docs: $(VENV)/run.stamp  ## write docs/options.md, docs/events.md and docs/protocols.md from the code
	$(PY) -m jabberd_py.ctl.docs docs

conf: $(VENV)/run.stamp  ## conf/jabberd.yaml, to be edited, where there is none; and its example, from the code
	@$(PY) -m jabberd_py.ctl.docs conf
	@[ -e conf/jabberd.yaml ] || { cp conf/jabberd.yaml.example conf/jabberd.yaml && echo "made conf/jabberd.yaml"; }

# -- a server for a whole machine: the same paths as in conf/jabberd.service ------------------------------------

PREFIX ?= /opt/jabberd
ETC     = $(DESTDIR)/etc/jabberd
UNIT    = $(DESTDIR)/etc/systemd/system/jabberd.service
BIN     = $(DESTDIR)/usr/local/bin
ROOT    = $(DESTDIR)$(PREFIX)
# systemd is there, and it is this machine that is installed on
SYSTEMD = [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]

install: must-be-root  ## as root: the server for this machine, with a user and a systemd unit (docs/upgrade.md); again to upgrade
	@[ -n "$(DESTDIR)" ] || getent passwd jabberd >/dev/null || \
	    { useradd --system --user-group --home-dir /var/lib/jabberd --shell /usr/sbin/nologin jabberd && \
	      echo "made the user jabberd"; }
	@umask 022; $(MAKE) --no-print-directory VENV=$(ROOT) $(ROOT)/bin/python
	@echo "installing into $(ROOT)"
	@rm -rf build  # of an older version
	@umask 022; $(ROOT)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade .
	@sed -i '1s|^#!$(ROOT)/|#!$(PREFIX)/|' $(ROOT)/bin/jabberd $(ROOT)/bin/jabberctl
	@install -d -m 755 $(BIN) $(dir $(UNIT))
	@ln -sf $(PREFIX)/bin/jabberctl $(BIN)/jabberctl
	@install -d -m 750 $(ETC)
	@[ -e $(ETC)/jabberd.yaml ] || { sed -e 's|^#data: .*|data: /var/lib/jabberd|' \
	      -e 's|^  #socket: .*|  socket: /run/jabberd/jabberctl.sock|' conf/jabberd.yaml.example >$(ETC)/jabberd.yaml && \
	      chmod 640 $(ETC)/jabberd.yaml && echo "made $(ETC)/jabberd.yaml"; }
	@install -m 644 conf/jabberd.yaml.example $(ETC)/jabberd.yaml.example
	@[ -n "$(DESTDIR)" ] || { chgrp -R jabberd $(ETC); chown jabberd $(ETC)/jabberd.yaml; chmod 770 $(ETC); }
	@install -d -m 700 $(DESTDIR)/var/lib/jabberd
	@[ -n "$(DESTDIR)" ] || chown jabberd:jabberd /var/lib/jabberd
	@sed 's|/opt/jabberd|$(PREFIX)|' conf/jabberd.service >$(UNIT)
	@! { $(SYSTEMD); } || systemctl daemon-reload
	@echo "edit $(ETC)/jabberd.yaml, then: systemctl enable --now jabberd (after an upgrade: systemctl restart jabberd)"

uninstall: must-be-root  ## as root: away with what `make install` made, but for /etc/jabberd, /var/lib/jabberd and the user
	@! { $(SYSTEMD); } || systemctl disable --now jabberd 2>/dev/null || true
	@rm -f $(UNIT) $(BIN)/jabberctl
	@[ ! -e $(ROOT)/pyvenv.cfg ] || rm -rf $(ROOT)
	@! { $(SYSTEMD); } || systemctl daemon-reload
	@echo "left: $(ETC), $(DESTDIR)/var/lib/jabberd and the user jabberd"

must-be-root:
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" = 0 ] || { echo "this wants to be root (or DESTDIR=...)" >&2; exit 1; }

load: $(VENV)/dev.stamp  ## load on a running server: HOST=, USERS=, TIME=; LOCUST_WEB=1 for the web page
	$(VENV)/bin/locust -f loadtest/locustfile.py --host $(HOST) --users $(USERS) --run-time $(TIME) \
	    $(if $(LOCUST_WEB),--autostart,--headless --only-summary) $(ARGS)

swarm: $(VENV)/dev.stamp  ## thousands of Locust users on a server of its own: USERS=, TIME=, WORKERS=; ARGS="--storm 20 --html FILE"
	$(PY) -m loadtest.swarm --users $(USERS) --time $(TIME) $(if $(WORKERS),--workers $(WORKERS)) $(ARGS)

# All of it renews docs/performance*; a part prints its figures only (DOCS=docs puts them in there, too).
bench: $(VENV)/dev.stamp  ## CPU and memory beside other servers; ROWS=chat,presence PEERS=ejabberd; QUICK=1: this one
ifdef QUICK
	$(PY) -m loadtest.bench --peers jabberd_py --rounds 1 --seconds 0.3 --users 40 --sessions 300 --many 500 --minute 2 \
	    --rows "$(QUICK_ROWS)"
else
	ROWS='$(ROWS)' PEERS='$(PEERS)' DOCS='$(or $(DOCS),$(if $(ROWS)$(PEERS)$(ARGS),,docs))' $(PY) -m loadtest.bench $(ARGS)
endif

profile: $(VENV)/dev.stamp  ## where the CPU of a benchmark's row goes, by perf: ROW="chat 1 in flight"
	$(PY) -m loadtest.profile "$(ROW)" $(ARGS)

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

clean:  ## remove what was made, but not data/
	rm -rf $(VENV) jabberctl build *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The virtual environment follows the requirements files and nothing else. A fresh Debian's Python cannot make a whole
# one: then the pip outside puts one in, or root installs what is missing.

MAKE_VENV   = $(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1
VENV_BY_PIP = { $(PYTHON) -m venv --clear --without-pip $(VENV) && \
    $(PYTHON) -m pip --python $(VENV) install --quiet pip; } >/dev/null 2>&1
APT_GET     = DEBIAN_FRONTEND=noninteractive apt-get -qq
GET_VENV    = [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing python3-venv" && \
    { $(APT_GET) install -y python3-venv || { $(APT_GET) update && $(APT_GET) install -y python3-venv; }; } >/dev/null 2>&1

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	    { echo "jabberd_py needs Python 3.11 or newer as $(PYTHON) (or: make PYTHON=...)" >&2; exit 1; }
	@$(MAKE_VENV) || $(VENV_BY_PIP) || { $(GET_VENV) && $(MAKE_VENV); } || { rm -rf $(VENV); \
	    echo "cannot make $(VENV): install python3-venv (Debian: apt install python3-venv)" >&2; exit 1; }

$(VENV)/run.stamp: requirements.txt | $(PY)
	@echo "installing requirements.txt into $(VENV)"
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/run.stamp
	@echo "installing requirements-dev.txt into $(VENV)"
	@$(PIP) -r requirements-dev.txt
	@touch $@
