// An OAuth 2 client that was written elsewhere, from discovery to revocation. It speaks JSON, one line at a time: it is
// told of the server, asks for a browser to be sent to an address, is told where the browser came back to, and says what
// it got.
import { createInterface } from "node:readline";
import * as oauth from "./oauth4webapi.js";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const read = async () => JSON.parse((await lines.next()).value);
const write = (value) => console.log(JSON.stringify(value));

const given = await read();
const onLoopback = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(given.issuer);
const client = { client_id: given.client_id };
const authentication = given.client_secret ? oauth.ClientSecretBasic(given.client_secret) : oauth.None();

const discovered = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...onLoopback });
const server = await oauth.processDiscoveryResponse(issuer, discovered);

const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const address = new URL(server.authorization_endpoint);
address.search = new URLSearchParams({
  client_id: client.client_id,
  redirect_uri: given.redirect_uri,
  response_type: "code",
  scope: "account:read",
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  state,
});
write({ address: address.href });

const { location } = await read();
const answer = oauth.validateAuthResponse(server, client, new URL(location), state);
const exchange = () =>
  oauth.authorizationCodeGrantRequest(
    server, client, authentication, answer, given.redirect_uri, verifier, onLoopback,
  );
const tokens = await oauth.processAuthorizationCodeResponse(server, client, await exchange());
const me = async (token) => {
  const resource = new URL("/api/v1/users/me", issuer);
  return oauth.protectedResourceRequest(token, "GET", resource, undefined, undefined, onLoopback);
};
const { email } = await (await me(tokens.access_token)).json();

const refreshing = await oauth.refreshTokenGrantRequest(
  server, client, authentication, tokens.refresh_token, onLoopback,
);
const renewed = await oauth.processRefreshTokenResponse(server, client, refreshing);
const introspect = async () => {
  const response = await oauth.introspectionRequest(
    server, client, authentication, renewed.access_token, onLoopback,
  );
  return (await oauth.processIntrospectionResponse(server, client, response)).active;
};
const before = given.client_secret ? await introspect() : null;
const revoked = await oauth.revocationRequest(server, client, authentication, renewed.refresh_token, onLoopback);
await oauth.processRevocationResponse(revoked);
const after = given.client_secret ? await introspect() : null;

let again = null;
try {
  await oauth.processAuthorizationCodeResponse(server, client, await exchange());
} catch (error) {
  again = error.error;
}
write({ email, scope: renewed.scope, introspected: [before, after], again });
process.exit(0);
