#!/usr/bin/env python3
"""Cancels the running publish of an offer and waits for the end:

    OFFERGATE_URL=https://offergate.example OFFERGATE_API_KEY=... cancel.py OFFER [SECONDS]

Needs requests. Exit codes: 0 done, 1 not done, 2 usage, 69 no answer, 75 try again later
(so said the answer, or SECONDS are over; default 600), 77 not allowed.
"""
import argparse
import os
import re
import sys
import time
import uuid

import requests


def cancel(base, api_key, offer, seconds):
    """The exit code, and what to tell people."""
    deadline = time.monotonic() + seconds
    session = requests.Session()
    session.headers["X-Api-Key"] = api_key
    # The same key means the same cancel: when an answer is lost, the request can be repeated safely.
    method, url = "POST", f"{base}/offers/{offer}/cancel"
    headers = {"Idempotency-Key": f'"{uuid.uuid4()}"'}
    lost, last = 0, "nothing was answered"
    while (left := deadline - time.monotonic()) > 0:
        wait = max(1, min(50, int(left)))
        try:
            # A redirect would carry the API key to another address.
            answer = session.request(method, url, headers={**headers, "Prefer": f"wait={wait}"},
                                     timeout=(10, wait + 15), allow_redirects=False)
            body = answer.json()
            if not (answer.ok and "status" in body or "code" in body):
                raise ValueError(f"HTTP {answer.status_code} is not from the gateway")
        except (requests.RequestException, ValueError, TypeError) as error:
            lost += 1
            if lost == 5:
                return 69, f"no answer from the gateway: {error}"
            time.sleep(lost)
            continue
        lost = 0
        if answer.ok:
            last = f"{body['status']}, {body['operationLocation']}"
            if body["status"] == "Succeeded":
                return 0, f"Succeeded: {body['outcome']}"
            if body["status"] in ("Failed", "Canceled"):
                return 1, f"{body['error']['code']}: {body['error']['message']}"
        else:
            last = f"{body['code']}: {body['detail']}"
            if answer.status_code in (401, 403):
                return 77, last
            if not body["retryable"] and "operationLocation" not in body:
                return 1, last
        # Running, or perhaps running (502 portal-failed): only ask from now on.
        if answer.ok or not body["retryable"]:
            method, url, headers = "GET", body["operationLocation"], {}
        pause = int(answer.headers.get("Retry-After", 1))
        time.sleep(max(0, min(pause, deadline - time.monotonic())))
    return 75, f"{seconds} s are over; {last}"


def offer_id(text):
    if not re.fullmatch(r"(?!\.\.?$)[A-Za-z0-9._-]{1,128}", text):
        raise ValueError
    return text


def main():
    parser = argparse.ArgumentParser(description="Cancels the running publish of an offer.")
    parser.add_argument("offer", type=offer_id)
    parser.add_argument("seconds", type=int, nargs="?", default=600)
    arguments = parser.parse_args()
    base, api_key = (os.environ.get(f"OFFERGATE_{name}") for name in ("URL", "API_KEY"))
    if not base or not api_key:
        parser.error("set OFFERGATE_URL and OFFERGATE_API_KEY")
    code, text = cancel(base, api_key, arguments.offer, arguments.seconds)
    print(f"cancel: {text}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
