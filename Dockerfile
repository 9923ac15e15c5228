# syntax=docker/dockerfile:1
# One image with all six binaries; the command says which one runs:
#
#   docker build -t events-aggregator .
#   docker run events-aggregator ingester
#   docker run events-aggregator eactl status

# Debian's variant, because it has git: the version in the binaries is the
# repository's own tag or commit.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
# Where git does not answer (a .git that is incomplete, empty or another user's)
# the build would fail; such an image has no version.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" \
      -buildvcs="$(git rev-parse HEAD >/dev/null 2>&1 && echo true || echo false)" -o /out/ ./cmd/...

# Alpine for its wget, which the health checks call, and its certificates, which
# webhooks need; the binaries are static.
FROM alpine:3.22
RUN addgroup -S -g 10001 ea && adduser -S -D -H -u 10001 -G ea ea
WORKDIR /app
COPY --from=build /out/ /usr/local/bin/
COPY configs ./configs
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
# The admin server of every process: health paths and metrics. Outside a
# container it listens on loopback alone.
ENV EA_ADMIN_ADDR=0.0.0.0:9100 EA_API_ADDR=0.0.0.0:8080
EXPOSE 8080 9100
CMD ["api"]
