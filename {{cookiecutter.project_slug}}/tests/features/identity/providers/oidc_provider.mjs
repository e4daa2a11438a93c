// A provider that others wrote: oidc-provider, installed in the folder that is the only argument. The first line of the
// input is its configuration, and the end of the input is its end. Whoever types a name at it is that person.
import path from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const entry = path.join(process.argv[2], "node_modules", "oidc-provider", "lib", "index.js");
const { default: Provider } = await import(pathToFileURL(entry).href);

const lines = createInterface({ input: process.stdin });
lines.once("line", (line) => {
  const { issuer, port, client, jwks } = JSON.parse(line);
  const provider = new Provider(issuer, {
    clients: [client],
    jwks,
    claims: { openid: ["sub"], email: ["email", "email_verified"] },
    conformIdTokenClaims: false,
    cookies: { keys: ["a made-up key of cookies"] },
    features: { backchannelLogout: { enabled: true } },
    // By itself, it sends logouts to no address on this machine.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    findAccount: (_, sub) => ({
      accountId: sub,
      claims: () => ({ sub, email: `${sub}@people.example`, email_verified: true }),
    }),
  });
  provider.on("backchannel.error", (_, error) => console.error("logout failed:", error.message));
  provider.listen(port, "127.0.0.1", () => console.log("listening"));
});
lines.once("close", () => process.exit(0));
