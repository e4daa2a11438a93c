/* A mailed link carries its code behind the "#", which no browser sends to a server. It goes into the form, and out of
   the address bar, the history and whatever the address is copied to. Without this script the code is pasted. */
"use strict";

function takeCode() {
  const field = document.getElementById("token");
  const code = window.location.hash.slice(1);
  if (!field || code.length === 0) {
    return;
  }
  field.value = code;
  window.history.replaceState(null, "", window.location.pathname + window.location.search);
  const password = field.form.querySelector("input[type=password]");
  if (password) {
    password.focus();
  }
}

takeCode();
window.addEventListener("hashchange", takeCode);
