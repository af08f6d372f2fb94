FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/*
COPY postgresql.sh /usr/local/bin/postgresql.sh
USER postgres
VOLUME /var/lib/postgresql
CMD ["sh", "/usr/local/bin/postgresql.sh"]
