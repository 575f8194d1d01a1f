// The OpenID provider that the tests log in at: oidc-provider, certified by the OpenID Foundation, on loopback.
//
// Below /test/ the tests change what it does while it runs; all else is the provider's own. It ends with its standard input.

import * as crypto from 'node:crypto';
import * as http from 'node:http';
import Provider from 'oidc-provider';

// Standard output is for the address alone.
console.info = console.log = console.error;

const CLIENT = 'heph';

// What a test may change with POST /test/settings.
const settings = {
  accessTokenSeconds: 3600,
  deviceCodeSeconds: 600,
  audience: 'urn:heph:hub',
  algorithm: 'RS256', // of access tokens
  opaque: false, // access tokens that are no JWT
  pkce: false, // offer and demand S256 in the device flow, which oidc-provider itself leaves out
  interval: 1, // of the device flow, in seconds
  revocation: true, // in the metadata
  down: false, // cut off every connection
};

// How often each endpoint was asked, by its path, and how often each kind of grant was given.
let counts = {};

function count(what) {
  counts[what] = (counts[what] ?? 0) + 1;
}

function key(algorithm) {
  const [type, options] = {
    RS256: ['rsa', { modulusLength: 2048 }],
    ES256: ['ec', { namedCurve: 'P-256' }],
    EdDSA: ['ed25519', {}],
  }[algorithm];
  const jwk = crypto.generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' });
  return { ...jwk, use: 'sig', alg: algorithm, kid: crypto.randomUUID() };
}

const newKeys = () => ['RS256', 'ES256', 'EdDSA'].map(key);

// oidc-provider takes its keys once, so new keys mean a new provider. What it has stored belongs to the process and stays.
function provider(issuer, keys) {
  const made = new Provider(issuer, {
    jwks: { keys },
    clients: [{
      client_id: CLIENT,
      client_name: 'heph',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
      response_types: [],
      redirect_uris: [],
    }],
    cookies: { keys: ['of the tests'] },
    scopes: ['openid', 'offline_access'],
    features: {
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:heph:hub',
        useGrantedResource: () => !settings.opaque,
        getResourceServerInfo: () => ({
          scope: '',
          audience: settings.audience,
          accessTokenTTL: settings.accessTokenSeconds,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: settings.algorithm } },
        }),
      },
    },
    ttl: {
      AccessToken: () => settings.accessTokenSeconds,
      IdToken: () => settings.accessTokenSeconds,
      DeviceCode: () => settings.deviceCodeSeconds,
      RefreshToken: 24 * 3600,
      Grant: 24 * 3600,
      Session: 24 * 3600,
      Interaction: 3600,
    },
    rotateRefreshToken: true,
  });
  made.use(extend);
  made.on('grant.success', (ctx) => count(`grant ${ctx.oidc.params.grant_type}`));
  return made;
}

// The challenges of device codes, where PKCE is demanded.
const challenges = new Map();

async function extend(ctx, next) {
  if (settings.pkce && ctx.path === '/token') {
    await demandVerifier(ctx);
    if (ctx.body) return;
  }
  const form = settings.pkce && ctx.path === '/device/auth' ? await read(ctx) : undefined;
  await next();
  if (ctx.path === '/device/auth' && ctx.status === 200) {
    ctx.body.interval = settings.interval;
    if (form) challenges.set(ctx.body.device_code, form);
  }
  if (ctx.path === '/.well-known/openid-configuration') {
    ctx.body.code_challenge_methods_supported = settings.pkce ? ['S256'] : undefined;
    if (!settings.revocation) ctx.body.revocation_endpoint = undefined;
  }
}

// RFC 7636, section 4.6.
async function demandVerifier(ctx) {
  const form = await read(ctx);
  if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:device_code') return;
  const asked = challenges.get(form.get('device_code'));
  const verifier = form.get('code_verifier') ?? '';
  const challenge = crypto.createHash('sha256').update(verifier).digest('base64url');
  if (asked?.get('code_challenge_method') !== 'S256' || asked.get('code_challenge') !== challenge) {
    ctx.status = 400;
    ctx.body = { error: 'invalid_grant', error_description: 'PKCE verification failed' };
  }
}

// Reads a form and leaves it for oidc-provider, which takes what was read already.
async function read(ctx) {
  const chunks = [];
  for await (const chunk of ctx.req) chunks.push(chunk);
  ctx.req.body = Buffer.concat(chunks).toString();
  return new URLSearchParams(ctx.req.body);
}

async function administer(request, response, current) {
  const url = new URL(request.url, 'http://localhost');
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  let answer = {};
  if (url.pathname === '/test/settings') {
    Object.assign(settings, JSON.parse(Buffer.concat(chunks).toString()));
  } else if (url.pathname === '/test/keys') {
    current.rotate();
  } else if (url.pathname === '/test/counts') {
    answer = counts;
    counts = {};
  } else {
    response.statusCode = 404;
  }
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(answer));
}

const server = http.createServer();
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  let handle;
  const rotate = () => { handle = provider(issuer, newKeys()).callback(); };
  rotate();
  server.on('request', (request, response) => {
    if (request.url.startsWith('/test/')) {
      administer(request, response, { rotate }).catch((error) => response.destroy(error));
      return;
    }
    count(request.url.split('?')[0]);
    if (settings.down) request.socket.destroy();
    else handle(request, response);
  });
  process.stdout.write(`${issuer}\n`);
});

process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume();
