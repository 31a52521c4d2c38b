# syntax=docker/dockerfile:1

# The bridge finds plugs by broadcasts, which do not cross Docker's own network: run it with --network host.
#
#   docker build -t plug2mqtt .
#   docker run --network host -v plug2mqtt:/var/lib/plug2mqtt -e PLUG2MQTT_MQTT__URL=mqtt://localhost \
#     -e PLUG2MQTT_TIMEZONE=Europe/Berlin plug2mqtt
#
# The time zone is not that of the host: without it days begin at midnight UTC, and no clock of a plug is set by
# half hours.

FROM rust:1-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
COPY examples examples
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked --bin plug2mqtt && \
    cp target/dist/plug2mqtt /plug2mqtt && \
    install -d -m 0750 -o 65532 -g 65532 /state

# glibc, CA certificates, time zones and nothing else; no shell.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /plug2mqtt /usr/local/bin/plug2mqtt
COPY --from=build --chown=65532:65532 /state /var/lib/plug2mqtt
USER 65532:65532
ENV STATE_DIRECTORY=/var/lib/plug2mqtt
VOLUME /var/lib/plug2mqtt
ENTRYPOINT ["/usr/local/bin/plug2mqtt"]
