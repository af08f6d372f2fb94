# jabberd_py from Debian's packages and PyPI. `docker compose up` builds and runs it (compose.yaml, docs/upgrade.md).
FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv ca-certificates \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 5222 --user-group --home-dir /var/lib/jabberd --shell /usr/sbin/nologin jabberd \
    && install -d -o jabberd -g jabberd -m 700 /var/lib/jabberd /run/jabberd
COPY setup.py pyproject.toml requirements.txt MANIFEST.in LICENSE README.md /src/
COPY jabberd_py /src/jabberd_py
RUN python3 -m venv /opt/jabberd \
    && /opt/jabberd/bin/pip install --no-cache-dir --disable-pip-version-check /src \
    && ln -s /opt/jabberd/bin/jabberctl /usr/local/bin/jabberctl \
    && rm -rf /src
COPY conf/jabberd.yaml.example /etc/jabberd/jabberd.yaml
ENV JABBERD_CONFIG=/etc/jabberd/jabberd.yaml \
    JABBERD_DATA=/var/lib/jabberd \
    JABBERD_CTL__SOCKET=/run/jabberd/jabberctl.sock
USER jabberd
WORKDIR /var/lib/jabberd
VOLUME /var/lib/jabberd
EXPOSE 5222 5223 5269 5281 7777
HEALTHCHECK --interval=1m --timeout=10s --start-period=1m CMD ["jabberctl", "stats"]
ENTRYPOINT ["/opt/jabberd/bin/jabberd"]
