#!/usr/bin/env node
// Cancels the running publish of an offer, as other long-running operations of Azure's SDK:
//
//     OFFERGATE_URL=https://offergate.example OFFERGATE_API_KEY=... node cancel.mjs OFFER [SECONDS]
//
// Needs Node 18 or later, and @azure/core-lro 3. Exit codes: 0 done, 1 not done, 2 usage, 69 no
// answer, 75 try again later (so said the answer, or SECONDS are over; default 600), 77 not allowed.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { createHttpPoller } from "@azure/core-lro";

function finish(code, text) {
  console.error(`cancel: ${text}`);
  process.exit(code);
}

const [offer = "", seconds = "600"] = process.argv.slice(2);
const { OFFERGATE_URL: base, OFFERGATE_API_KEY: apiKey } = process.env;
if (!/^(?!\.\.?$)[A-Za-z0-9._-]{1,128}$/.test(offer) || !/^[0-9]+$/.test(seconds)) {
  finish(2, "usage: cancel.mjs OFFER [SECONDS]");
}
if (!base || !apiKey) finish(2, "set OFFERGATE_URL and OFFERGATE_API_KEY");
const deadline = Date.now() + Number(seconds) * 1000;
const left = () => Math.max(0, deadline - Date.now());
let last = "nothing was answered";

// One request, repeated while its answer is lost or says that a repetition helps.
async function send(method, url, headers) {
  for (let lost = 0; left() > 0; ) {
    const wait = Math.max(1, Math.min(50, Math.floor(left() / 1000)));
    let response, body;
    try {
      response = await fetch(url, {
        method,
        headers: { "X-Api-Key": apiKey, Prefer: `wait=${wait}`, ...headers },
        redirect: "error", // it would carry the API key to another address
        signal: AbortSignal.timeout((wait + 15) * 1000),
      });
      body = await response.json();
      if (!(response.ok ? body.status : body.code)) throw new Error("not from the gateway");
    } catch (error) {
      lost += 1;
      if (lost === 5) finish(69, `no answer from the gateway: ${error.cause ?? error}`);
      await sleep(lost * 1000);
      continue;
    }
    lost = 0;
    last = response.ok ? `${body.status}, ${body.operationLocation}` : `${body.code}: ${body.detail}`;
    if (response.status === 401 || response.status === 403) finish(77, last);
    if (body.retryable) {
      await sleep(Math.min(left(), Number(response.headers.get("retry-after") ?? 1) * 1000));
      continue;
    }
    // With an operation, perhaps it was carried out (502 portal-failed): the poller follows it.
    if (!response.ok && !body.operationLocation) finish(1, last);
    const rawHeaders = Object.fromEntries(response.headers);
    const request = { method, url };
    const rawResponse = { statusCode: response.status, headers: rawHeaders, body, request };
    return { flatResponse: body, rawResponse };
  }
  finish(75, `${seconds} s are over; ${last}`);
}

// The same key means the same cancel: when an answer is lost, the request can be repeated safely.
const key = { "Idempotency-Key": `"${randomUUID()}"` };
const poller = createHttpPoller(
  {
    sendInitialRequest: () => send("POST", `${base}/offers/${offer}/cancel`, key),
    sendPollRequest: (url) => send("GET", url),
  },
  { resolveOnUnsuccessful: true },
);
const { status, outcome, error } = await poller.pollUntilDone({ abortSignal: AbortSignal.timeout(left()) })
  .catch((error) => finish(error.name === "AbortError" ? 75 : 1, `${error.message}; ${last}`));
if (status === "Succeeded") finish(0, `Succeeded: ${outcome}`);
finish(1, `${error.code}: ${error.message}`);
