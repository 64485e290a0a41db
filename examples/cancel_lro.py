#!/usr/bin/env python3
"""Cancels the running publish of an offer, as other long-running operations of Azure's SDK:

    OFFERGATE_URL=https://offergate.example OFFERGATE_API_KEY=... cancel_lro.py OFFER [SECONDS]

Needs azure-core. Exit codes: 0 done, 1 not done, 2 usage, 69 no answer, 75 try again later (so
said the answer, or SECONDS are over; default 600), 77 not allowed.
"""
import argparse
import os
import re
import sys
import time
import uuid

from azure.core import PipelineClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline import Pipeline, policies
from azure.core.pipeline.transport import RequestsTransport
from azure.core.polling import LROPoller
from azure.core.polling.base_polling import LROBasePolling
from azure.core.rest import HttpRequest


def cancel(base, api_key, offer, seconds):
    """The exit code, and what to tell people."""
    deadline = time.monotonic() + seconds
    # Without a policy for redirects none is followed: the API key stays here. What has a
    # Retry-After is sent again.
    pipeline = Pipeline(RequestsTransport(), policies=[
        policies.RequestIdPolicy(),
        policies.HeadersPolicy(),
        policies.AzureKeyCredentialPolicy(AzureKeyCredential(api_key), "X-Api-Key"),
        policies.RetryPolicy(retry_total=100, retry_status=100, timeout=seconds),
    ])
    client = PipelineClient(base, pipeline=pipeline)
    # The same key means the same cancel: when an answer is lost, the request can be repeated safely.
    request = HttpRequest("POST", f"{base}/offers/{offer}/cancel",
                          headers={"Idempotency-Key": f'"{uuid.uuid4()}"'})
    try:
        for lost in range(1, 6):
            try:
                first = pipeline.run(request)
                break
            except AzureError:
                if lost == 5 or time.monotonic() > deadline:
                    raise
                time.sleep(lost)
        location = first.http_response.headers.get("Operation-Location")
        if first.http_response.status_code == 502 and location:
            # It may have been carried out: follow it.
            first = pipeline.run(HttpRequest("GET", location))
        first.http_response.raise_for_status()
        # Each look is held until there is something to tell, at most 20 seconds.
        polling = LROBasePolling(timeout=2, headers={"Prefer": "wait=20"})
        poller = LROPoller(client, first, lambda answer: answer.http_response.json(), polling)
        operation = poller.result(max(0, deadline - time.monotonic()))
    except HttpResponseError as error:
        if error.error is None:
            return 69, f"no answer from the gateway: {error.message}"
        code = {401: 77, 403: 77, 429: 75, 503: 75}.get(error.status_code, 1)
        return code, f"{error.error.code}: {error.error.message}"
    except AzureError as error:
        if time.monotonic() < deadline:
            return 69, f"no answer from the gateway: {error}"
        return 75, f"{seconds} s are over; {error}"
    if not poller.done():
        return 75, f"{seconds} s are over; {location}"
    # An operation that has failed before the first look is not raised by the poller.
    if operation["status"] != "Succeeded":
        return 1, f"{operation['error']['code']}: {operation['error']['message']}"
    return 0, f"Succeeded: {operation['outcome']}"


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
