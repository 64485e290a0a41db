"""Cancels offers and follows each to its end with an unmodified client library.

    follow.py LIBRARY OFFER...

OFFERGATE_URL and OFFERGATE_API_KEY come from the environment. Prints one JSON object for each
offer, in their order: what the library has handed out ("operation"), and what it has raised
("raised": the code and message that its exception shows), null where there is none.
"""
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import httpx_sse
import requests
import sseclient
from azure.core import PipelineClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import policies
from azure.core.polling import LROPoller
from azure.core.polling.base_polling import LROBasePolling
from azure.core.rest import HttpRequest
from azure.mgmt.core import ARMPipelineClient
from azure.mgmt.core.exceptions import ARMErrorFormat
from azure.mgmt.core.polling.arm_polling import ARMPolling

URL = os.environ["OFFERGATE_URL"]
KEY = os.environ["OFFERGATE_API_KEY"]


def azure(client_type, polling, offer, **error_format):
    """As the code does that AutoRest and TypeSpec generate, error handling included."""
    client = client_type(URL, policies=[
        policies.RequestIdPolicy(),
        policies.HeadersPolicy(),
        policies.AzureKeyCredentialPolicy(AzureKeyCredential(KEY), "X-Api-Key"),
        policies.RetryPolicy(),
    ])
    try:
        first = client._pipeline.run(HttpRequest("POST", f"{URL}/offers/{offer}/cancel"))
        if first.http_response.status_code not in (200, 202):
            raise HttpResponseError(response=first.http_response, **error_format)
        poller = LROPoller(client, first, lambda answer: answer.http_response.json(), polling)
        return poller.result(), None
    except HttpResponseError as error:
        return None, {"code": error.error.code, "message": error.error.message}


def started(offer):
    """The address of the operation's events."""
    answer = requests.post(f"{URL}/offers/{offer}/cancel", headers={"X-Api-Key": KEY}, timeout=30)
    answer.raise_for_status()
    return answer.headers["Operation-Location"] + "/events"


def with_httpx_sse(offer):
    with httpx.Client(headers={"X-Api-Key": KEY}, timeout=30) as client:
        with httpx_sse.connect_sse(client, "GET", started(offer)) as source:
            events = list(source.iter_sse())
    assert all(event.event == "message" and event.id for event in events), events
    return events[-1].json(), None


def with_sseclient(offer):
    headers = {"X-Api-Key": KEY, "Accept": "text/event-stream"}
    answer = requests.get(started(offer), headers=headers, stream=True, timeout=30)
    events = list(sseclient.SSEClient(answer).events())
    assert all(event.event == "message" and event.id for event in events), events
    return json.loads(events[-1].data), None


LIBRARIES = {
    "azure-core": lambda offer: azure(PipelineClient, LROBasePolling(), offer),
    "azure-mgmt-core": lambda offer: azure(
        ARMPipelineClient, ARMPolling(), offer, error_format=ARMErrorFormat),
    "httpx-sse": with_httpx_sse,
    "sseclient-py": with_sseclient,
}

if __name__ == "__main__":
    library, *offers = sys.argv[1:]
    with ThreadPoolExecutor(len(offers)) as threads:
        for operation, raised in threads.map(LIBRARIES[library], offers):
            print(json.dumps({"operation": operation, "raised": raised}))
