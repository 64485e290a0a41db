# Builds the gateway, fully optimized, and puts it alone into an image without a shell.
#
#   docker build -t offergate .
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges -p 8080:8080 \
#     -v "$PWD/my-config:/etc/offergate:ro" -v offergate-ledger:/var/lib/offergate offergate
#
# Secrets are mounted when it runs (client_secret_file), never built in: there is no ARG. A
# program that is built already, in DIR beside an empty directory `ledger`, takes the place of the first
# two stages: docker build --build-context program=DIR .

FROM rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082 AS build
WORKDIR /build
ENV CARGO_INCREMENTAL=0 CARGO_NET_RETRY=5

# The dependencies alone, behind an empty program: this layer is built again only when
# Cargo.toml or Cargo.lock changes. The empty benches are the ones that Cargo.toml names.
COPY Cargo.toml Cargo.lock ./
COPY crates/sandbox/Cargo.toml crates/sandbox/
COPY .cargo .cargo
RUN mkdir -p src benches/load crates/sandbox/src \
 && echo 'fn main() {}' > src/main.rs \
 && cp src/main.rs benches/keys.rs \
 && cp src/main.rs benches/pure.rs \
 && cp src/main.rs benches/load/main.rs \
 && touch src/lib.rs crates/sandbox/src/lib.rs \
 && cargo build --profile dist --locked \
 && rm -r src crates/sandbox/src

# The program. Its defaults, config/base.toml, are part of it.
COPY config/base.toml config/base.toml
COPY crates crates
COPY src src
RUN find src crates -name '*.rs' -exec touch {} + \
 && cargo build --profile dist --locked \
 && mkdir -p /out/ledger \
 && cp target/dist/offergate /out/

# Only what comes out; `docker build --target program --output DIR .` takes it out.
FROM scratch AS program
COPY --from=build /out /

# glibc, libgcc, certificate authorities, and a user; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot@sha256:ce0d66bc0f64aae46e6a03add867b07f42cc7b8799c949c2e898057b7f75a151
LABEL org.opencontainers.image.title="offergate" \
      org.opencontainers.image.description="A gateway that cancels offers on Microsoft's commercial marketplace for callers who never hold the vendor's credential" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="gcr.io/distroless/cc-debian12:nonroot"
COPY --from=program /offergate /usr/local/bin/offergate
# Where the ledger lives, writable for that user (65532); all else may be read-only. As the
# working directory it is also where the default, sqlite:offergate.db, ends up.
COPY --from=program --chown=65532:65532 /ledger /var/lib/offergate
WORKDIR /var/lib/offergate
VOLUME ["/var/lib/offergate"]
USER 65532:65532
EXPOSE 8080 9090

# Whether the process responds, be it the gateway (at admin.listen) or the sandbox (port 7070). For
# whether the gateway is ready, an orchestrator asks /readyz.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 \
    CMD ["/usr/local/bin/offergate", "healthcheck", "--config", "/etc/offergate"]

# No shell in between: the gateway itself receives SIGTERM, and drains.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/offergate"]
# base.toml is read from there; add --profile NAME for a second file.
CMD ["serve", "--config", "/etc/offergate"]
