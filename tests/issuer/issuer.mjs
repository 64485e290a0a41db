// A real OpenID issuer (panva's oidc-provider) for tests/api: `node issuer.mjs [PORT]`.
//
// Prints {"issuer": "http://127.0.0.1:PORT", "assertions": true} when it listens, and ends
// with its standard input, so that no orphan survives the test that started it.
// `assertions`: whether this Node has what the provider needs to check client assertions.
//
// Its token endpoint is where Entra's is for the tenant contoso.test. What Entra does in
// its own way is translated: a scope `RESOURCE/.default` orders the resource, and a token
// for a resource other than resource.test says azp, tid and roles as Entra's do. Who may
// have one is for the provider alone to check. One client of those tokens proves itself
// by a secret, the other by assertions, once there are certificates to check them with.
//
// What a token should look like is said in its resource indicator, which is a URL:
//   https://resource.test/?audience=offergate&algorithm=RS256&claims={}&header={}
// Members of `claims` and `header` replace those of the token; null takes one away.
// The provider itself sees to it that a token has `aud`, `iat` and the right `alg`.
//
// Under /_control/ the test moves what an issuer's operators move:
//   POST rotate   new keys sign from now on, the old ones stay published
//   POST retire   the old keys are not published any more
//   POST down     discovery and keys are answered with 503
//   POST up       and no longer
//   GET counts    requests so far; ?jwks=N waits until the keys were asked for N times,
//                 and so do tokens (at the token endpoint), discovery and refused (those
//                 of discovery and keys that were answered with 503)
//   POST certificates   as PEM: what assertions are checked with from now on

import { EventEmitter } from 'node:events';
import { createServer } from 'node:http';
import * as crypto from 'node:crypto';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';

const { generateKeyPair, randomUUID, X509Certificate } = crypto;

// The provider wants a newer Node than Debian 12 has (18). These two are all it lacks, but
// for crypto.hash (20.12), with which it knows assertions again; no script can add that.
globalThis.crypto ??= crypto.webcrypto;
URL.parse ??= (text, base) => (URL.canParse(text, base) ? new URL(text, base) : null);
const { default: Provider } = await import('oidc-provider');

const CLIENTS = ['release-pipeline', 'status-board', 'stranger'];
const ALGORITHMS = { RS256: 'rsa', PS256: 'rsa', ES256: 'ec' };
const TENANT = 'contoso.test';
const BY_SECRET = 'offergate-secret';
const SECRET = 'no-part-of-its-name-0123456789';
const BY_CERTIFICATE = 'offergate-certificate';
const DISCOVERY = '/.well-known/openid-configuration';
const JWKS = '/jwks';
const TOKEN = `/${TENANT}/oauth2/v2.0/token`;
const COUNTED = { [DISCOVERY]: 'discovery', [JWKS]: 'jwks', [TOKEN]: 'tokens' };
/** How long a token lives, in seconds. */
const LIFETIME = 3600;

const counts = { discovery: 0, jwks: 0, tokens: 0, refused: 0 };
const counted = new EventEmitter().setMaxListeners(0);
let generations = [];
let certificates = [];
let made = 0;
let down = false;
let handle;

/** One key of each kind. Only one says its algorithm: issuers do and do not. */
async function generation() {
  made += 1;
  const key = async (kind, type, options, members) => {
    const { privateKey } = await promisify(generateKeyPair)(type, options);
    const jwk = privateKey.export({ format: 'jwk' });
    return { ...jwk, kid: `${kind}-${made}`, use: 'sig', ...members };
  };
  return {
    rsa: await key('rsa', 'rsa', { modulusLength: 2048 }, {}),
    ec: await key('ec', 'ec', { namedCurve: 'P-256' }, { alg: 'ES256' }),
  };
}

/** What `resource` orders; see above. */
function ordered(resource) {
  const { hostname, searchParams: query } = new URL(resource);
  const isOurs = hostname === 'resource.test';
  const algorithm = query.get('algorithm') ?? 'RS256';
  if (!(algorithm in ALGORITHMS)) throw new Error(`no key for ${algorithm}`);
  return {
    isOurs,
    audience: query.get('audience') ?? (isOurs ? 'offergate' : resource),
    algorithm,
    claims: JSON.parse(query.get('claims') ?? '{}'),
    header: JSON.parse(query.get('header') ?? '{}'),
  };
}

/** What is null here is left out of the token. */
function withoutNulls(members) {
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [name, value ?? undefined]));
}

/** Everyone who may ask for a token; by an assertion only if it can be checked. */
function clients() {
  const client = (client_id, method, proof) => ({
    client_id,
    grant_types: ['client_credentials'],
    token_endpoint_auth_method: method,
    redirect_uris: [],
    response_types: [],
    ...proof,
  });
  const secrets = CLIENTS.map((id) => [id, `${id}-secret`]);
  const bySecret = [...secrets, [BY_SECRET, SECRET]].map(([id, client_secret]) => (
    client(id, 'client_secret_post', { client_secret })
  ));
  if (certificates.length === 0) return bySecret;
  const keys = certificates.map(({ publicKey, raw }) => ({
    ...publicKey.export({ format: 'jwk' }),
    use: 'sig',
    x5c: [raw.toString('base64')],
  }));
  return [...bySecret, client(BY_CERTIFICATE, 'private_key_jwt', { jwks: { keys } })];
}

/** The provider takes keys and clients when it is made: other ones, another provider. */
function provide() {
  const [current] = generations;
  const provider = new Provider(issuer, {
    clients: clients(),
    // Otherwise it complains on standard output, where nothing but the address belongs.
    ttl: { ClientCredentials: LIFETIME },
    cookies: { keys: [randomUUID()] },
    jwks: { keys: generations.flatMap(({ rsa, ec }) => [rsa, ec]) },
    routes: { jwks: JWKS, token: TOKEN },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: (context) => context.oidc.params.scope?.replace(/\/\.default$/u, ''),
        getResourceServerInfo(_context, resource) {
          const { audience, algorithm } = ordered(resource);
          const { kid } = current[ALGORITHMS[algorithm]];
          return {
            audience,
            scope: '',
            accessTokenFormat: 'jwt',
            accessTokenTTL: LIFETIME,
            jwt: { sign: { alg: algorithm, kid } },
          };
        },
      },
    },
    formats: {
      customizers: {
        jwt(context, _token, jwt) {
          const { isOurs, claims, header } = ordered(context.oidc.params.resource);
          if (!isOurs) {
            const azp = jwt.payload.client_id;
            Object.assign(jwt.payload, { azp, tid: TENANT, roles: ['Offers.Cancel'] });
          }
          Object.assign(jwt.payload, withoutNulls(claims));
          jwt.header = withoutNulls(header);
        },
      },
    },
  });
  // Why a token was not made; the harness shows it when a test fails.
  provider.on('server_error', (_context, error) => console.error(error));
  handle = provider.callback();
}

/** Waits until so many requests have come. */
function reached(wanted) {
  return new Promise((resolve) => {
    const look = () => {
      if (wanted.some(([kind, times]) => counts[kind] < Number(times))) return;
      counted.off('request', look);
      resolve();
    };
    counted.on('request', look);
    look();
  });
}

const CONTROLS = {
  async 'POST rotate'() {
    generations = [await generation(), ...generations];
    provide();
  },
  'POST retire'() {
    generations = generations.slice(0, 1);
    provide();
  },
  async 'POST certificates'(_query, pem) {
    const each = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/gu;
    certificates = pem.match(each).map((one) => new X509Certificate(one));
    provide();
  },
  'POST down'() {
    down = true;
  },
  'POST up'() {
    down = false;
  },
  async 'GET counts'(query) {
    await reached([...query]);
  },
};

function answer(response, status, body) {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': bytes.length,
  });
  response.end(bytes);
}

async function control(request, response, { pathname, searchParams }) {
  const name = pathname.slice('/_control/'.length);
  const action = CONTROLS[`${request.method} ${name}`];
  if (!action) return answer(response, 404, { error: 'no such control' });
  await action(searchParams, await text(request));
  return answer(response, 200, counts);
}

async function serve(request, response) {
  const url = new URL(request.url, issuer);
  if (url.pathname.startsWith('/_control/')) return control(request, response, url);
  const kind = COUNTED[url.pathname];
  const refused = down && [DISCOVERY, JWKS].includes(url.pathname);
  if (kind) counts[kind] += 1;
  if (refused) counts.refused += 1;
  counted.emit('request');
  if (refused) return answer(response, 503, { error: 'down' });
  return handle(request, response);
}

process.stdin.resume();
process.stdin.on('close', () => process.exit(0));

let issuer;
generations = [await generation()];
const server = createServer((request, response) => {
  serve(request, response).catch((error) => {
    console.error(error);
    answer(response, 500, { error: String(error) });
  });
});
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  provide();
  console.log(JSON.stringify({ issuer, assertions: 'hash' in crypto }));
});
