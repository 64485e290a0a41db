// As follow.py, with @azure/core-lro: node follow.mjs OFFER...
//
// OFFERGATE_URL and OFFERGATE_API_KEY come from the environment. Prints one JSON object for each
// offer, in their order: what the library has handed out ("operation"), and the text of the error
// that it has thrown ("raised").
import { createHttpPoller } from "@azure/core-lro";

const { OFFERGATE_URL: base, OFFERGATE_API_KEY: key } = process.env;

// The library leaves the requests to its user, and says what it wants to have of an answer.
async function send(method, url) {
  const response = await fetch(url, { method, headers: { "X-Api-Key": key } });
  const body = await response.json();
  if (!response.ok) throw new Error(`${body.code}. ${body.message}`);
  const headers = Object.fromEntries(response.headers);
  const rawResponse = { statusCode: response.status, headers, body, request: { method, url } };
  return { flatResponse: body, rawResponse };
}

async function follow(offer) {
  const poller = createHttpPoller({
    sendInitialRequest: () => send("POST", `${base}/offers/${offer}/cancel`),
    sendPollRequest: (url) => send("GET", url),
  });
  try {
    return { operation: await poller.pollUntilDone(), raised: null };
  } catch (error) {
    return { operation: null, raised: error.message };
  }
}

for (const ended of await Promise.all(process.argv.slice(2).map(follow))) {
  console.log(JSON.stringify(ended));
}
