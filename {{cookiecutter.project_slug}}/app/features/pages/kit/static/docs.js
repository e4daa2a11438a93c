// The description of the API, to read and to try. No token is kept: after a reload, authorize once more.
"use strict";

if (matchMedia("(prefers-color-scheme: dark)").matches) {
  document.documentElement.classList.add("dark-mode");
}

const ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  oauth2RedirectUrl: new URL("/docs/oauth2-redirect", location.href).href,
  persistAuthorization: false,
  queryConfigEnabled: false,
  // Otherwise a picture of somebody else's server is asked for, with the address of the document.
  validatorUrl: null,
});

// What is ticked at first; the service gives what is named, and nothing unasked.
ui.initOAuth({ clientId: "docs", scopes: "account:read", usePkceWithAuthorizationCodeGrant: true });
