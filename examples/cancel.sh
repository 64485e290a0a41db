#!/bin/sh
# Cancels the running publish of an offer and waits for the end:
#
#     OFFERGATE_URL=https://offergate.example OFFERGATE_API_KEY=... ./cancel.sh OFFER [SECONDS]
#
# Needs curl 7.55 or later, and jq. Exit codes: 0 done, 1 not done, 2 usage, 69 no answer,
# 75 try again later (so said the answer, or SECONDS are over; default 600), 77 not allowed.
set -eu

finish() {
    code=$1
    shift
    printf 'cancel: %s\n' "$*" >&2
    exit "$code"
}
field() { jq -r "$1 // empty" "$work/body" 2>/dev/null || true; }

offer=${1:-} seconds=${2:-600} usage='usage: cancel.sh OFFER [SECONDS]'
case $offer in '' | . | .. | *[!A-Za-z0-9._-]*) finish 2 "$usage" ;; esac
case $seconds in *[!0-9]*) finish 2 "$usage" ;; esac
[ "${OFFERGATE_URL:-}" ] && [ "${OFFERGATE_API_KEY:-}" ] ||
    finish 2 "set OFFERGATE_URL and OFFERGATE_API_KEY"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
deadline=$(($(date +%s) + seconds)) lost=0 location=
# The same key means the same cancel: when an answer is lost, the request can be repeated safely.
key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
url=$OFFERGATE_URL/offers/$offer/cancel
set -- -X POST -H "Idempotency-Key: \"$key\""

while left=$((deadline - $(date +%s))) && [ "$left" -gt 0 ]; do
    wait=$((left < 50 ? left : 50))
    # The API key goes through standard input, since others could read it in the arguments.
    status=$(printf 'X-Api-Key: %s\n' "$OFFERGATE_API_KEY" |
        curl -sS -H @- -H "Prefer: wait=$wait" --connect-timeout 10 --max-time $((wait + 15)) \
            -D "$work/head" -o "$work/body" -w '%{http_code}' "$@" "$url") || status=0
    # An answer of the gateway has a code or the status of an operation; one of a proxy has not.
    if [ "$status" = 0 ] || [ -z "$(field '.code // .status')" ]; then
        lost=$((lost + 1))
        [ "$lost" -lt 5 ] || finish 69 "no answer from the gateway (HTTP $status)"
        sleep "$lost"
        continue
    fi
    lost=0 follow=$(field .operationLocation)
    case $status:$(field .status) in
    20?:Succeeded) finish 0 "Succeeded: $(field .outcome)" ;;
    20?:Failed | 20?:Canceled) finish 1 "$(field .error.code): $(field .error.message)" ;;
    20?:*) ;;
    401:* | 403:*) finish 77 "$(field .code): $(field .detail)" ;;
    *)
        if [ "$(field .retryable)" ]; then
            follow=
        elif [ -z "$follow" ]; then
            finish 1 "$(field .code): $(field .detail)"
        fi
        ;;
    esac
    # Running, or perhaps running (502 portal-failed): only ask from now on.
    if [ "$follow" ]; then
        location=$follow url=$follow
        set --
    fi
    pause=$(tr -d '\r' <"$work/head" | awk 'tolower($1) == "retry-after:" { print $2 }')
    left=$((deadline - $(date +%s))) pause=${pause:-1}
    sleep $((pause < left ? pause : left > 0 ? left : 0))
done
finish 75 "${seconds} s are over; ${location:-$(field .detail)}"
