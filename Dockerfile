# Builds Quayside, and serves it from a container.
#
# It makes namespaces, id-mapped mounts, loop devices and control groups for its sandboxes, so it needs rights that
# containers usually lack; docs/SECURITY.md says what that means:
#
#   docker build -t quayside .
#   docker run --privileged --cgroupns private -p 127.0.0.1:8080:8080 -v quayside:/var/lib/quayside quayside
#
# The data directory must be a volume: a session's files cannot lie on the container's own overlay.
# `docker stop` would leave sandboxes to the next start, and their processes end with the container;
# STOPSIGNAL asks for the orderly end instead. Give it time: docker stop -t 130.

# The program is compiled here, or is one that lies in the folder already, as after `make serve`; then neither Rust nor
# Node.js is needed, and any Debian will do as the base:
#
#   cp target/*/release/quayside . && quayside build --build-arg PROGRAM=ready --build-arg BASE=learner -t quayside .

ARG BASE=debian:12
ARG BUILDER=rust:1.95-bookworm
ARG NODE=node:22-bookworm-slim
ARG PROGRAM=compiled

FROM ${NODE} AS page
WORKDIR /quayside/web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci --no-fund --no-audit
COPY web ./
RUN npm run build

FROM ${BUILDER} AS compiled
WORKDIR /quayside
COPY . .
COPY --from=page /quayside/web/dist web/dist
# Its place names the target; see .cargo/config.toml.
RUN cargo build --release --locked -p quayside && cp target/*/release/quayside /usr/local/bin/quayside

FROM scratch AS ready
COPY quayside /usr/local/bin/quayside

FROM ${PROGRAM} AS program

FROM ${BASE}
# Only what the base lacks, so that a base with both needs no network.
RUN { command -v mke2fs && [ -s /etc/ssl/certs/ca-certificates.crt ]; } >/dev/null \
 || { apt-get update \
   && apt-get install -y --no-install-recommends ca-certificates e2fsprogs \
   && rm -rf /var/lib/apt/lists/*; }
COPY --from=program /usr/local/bin/quayside /usr/local/bin/quayside
VOLUME /var/lib/quayside
ENV QUAYSIDE_WEB_LISTEN=0.0.0.0:8080
EXPOSE 8080
STOPSIGNAL SIGINT
ENTRYPOINT ["/usr/local/bin/quayside", "serve"]
