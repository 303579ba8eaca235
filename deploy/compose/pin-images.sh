#!/bin/sh
# Prints the images of compose.yaml and of the Dockerfile with the digests that their names stand for today:
#   sh pin-images.sh > .env     # read by `docker compose`, also for the build; keep it with the site's configuration
# A site that runs it anew takes newer images; one that keeps its .env gets the same bytes each time, or an error.
set -eu
pin() {
  digest="$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$2")"
  case "$digest" in
    sha256:*) echo "$1=$2@$digest" ;;
    *) echo "no digest of $2: $digest" >&2; exit 1 ;;
  esac
}
pin PYTHON_IMAGE python:3.11-slim
pin NGINX_IMAGE nginx:1.28
pin POSTGRES_IMAGE postgres:16
pin PROMETHEUS_IMAGE prom/prometheus:v3.5.0
