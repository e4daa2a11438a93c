/* Passkeys: a form with `data-passkey` asks the browser for one, and is sent with what it answers. The options are in
   `data-options`, or come from the address in `data-from`. Where no passkey is to be had, the form says so. */
"use strict";

const WORDS = {
  InvalidStateError: "This device has a passkey of your account already.",
  NotAllowedError: "No passkey was used, or it took too long. Try again.",
  SecurityError: "Browsers have no passkeys for this address. On your own machine, open http://localhost instead.",
};
const RENEW_AFTER = 4 * 60 * 1000;  // the challenge lasts for five minutes
let asking = null;
let renewal = 0;

function bytes(text) {
  return Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (each) => each.charCodeAt(0));
}

function base64url(buffer) {
  const text = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function descriptors(list) {
  return list.map((each) => ({ ...each, id: bytes(each.id) }));
}

/* Browsers of before 2025 do not read and write the JSON themselves. */
function creationOptions(json) {
  if (PublicKeyCredential.parseCreationOptionsFromJSON) {
    return PublicKeyCredential.parseCreationOptionsFromJSON(json);
  }
  const user = { ...json.user, id: bytes(json.user.id) };
  const excludeCredentials = descriptors(json.excludeCredentials);
  return { ...json, challenge: bytes(json.challenge), user, excludeCredentials };
}

function requestOptions(json) {
  if (PublicKeyCredential.parseRequestOptionsFromJSON) {
    return PublicKeyCredential.parseRequestOptionsFromJSON(json);
  }
  return { ...json, challenge: bytes(json.challenge), allowCredentials: descriptors(json.allowCredentials) };
}

function written(credential) {
  if (credential.toJSON) {
    return JSON.stringify(credential);
  }
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) {
      response[name] = base64url(credential.response[name]);
    }
  }
  if (credential.response.getTransports) {
    response.transports = credential.response.getTransports();
  }
  return JSON.stringify({ id: credential.id, rawId: credential.id, type: credential.type, response });
}

async function optionsOf(form) {
  if (form.dataset.options) {
    return JSON.parse(form.dataset.options);
  }
  const answer = await fetch(form.dataset.from, { method: "POST", body: new URLSearchParams() });
  if (!answer.ok) {
    throw new Error(answer.status === 429 ? "There were too many tries. Wait for a minute." : "Load the page again.");
  }
  return answer.json();
}

function say(form, error) {
  const problem = form.querySelector("[data-problem]");
  problem.textContent = WORDS[error.name] || `That has not worked. ${error.message}`;
  problem.hidden = false;
}

/* One question at a time: a button takes the place of what is offered in the list of the address field. */
async function ask(form, mediation) {
  if (asking) {
    asking.abort();
  }
  clearTimeout(renewal);
  const { signal } = (asking = new AbortController());
  if (mediation) {
    renewal = setTimeout(() => ask(form, mediation), RENEW_AFTER);
  }
  try {
    const options = await optionsOf(form);
    if (signal.aborted) {
      return;
    }
    const credential = form.dataset.passkey === "create"
      ? await navigator.credentials.create({ publicKey: creationOptions(options), signal })
      : await navigator.credentials.get({ publicKey: requestOptions(options), signal, ...mediation });
    form.elements.credential.value = written(credential);
    form.submit();
  } catch (error) {
    if (!signal.aborted && !mediation) {
      say(form, error);
    }
  }
}

async function prepare(form) {
  if (!window.PublicKeyCredential) {
    return;
  }
  form.hidden = false;
  document.querySelectorAll("[data-without-passkeys]").forEach((each) => each.remove());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(form);
  });
  if ("conditional" in form.dataset) {
    const { isConditionalMediationAvailable: offers } = PublicKeyCredential;
    if (offers && (await offers.call(PublicKeyCredential))) {
      ask(form, { mediation: "conditional" });
    }
  } else if ("start" in form.dataset) {
    ask(form);
  }
}

document.querySelectorAll("form[data-passkey]").forEach(prepare);
