/* A button in each field of a password, which shows what was typed. It is hidden again before the form is sent, so that
   no browser keeps it among what it offers for other fields. */
"use strict";

function set(field, button, shown) {
  field.type = shown ? "text" : "password";
  button.textContent = shown ? "Hide" : "Show";
  button.setAttribute("aria-label", shown ? "Hide what you typed" : "Show what you typed");
}

function addButton(field) {
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-controls", field.id);
  set(field, button, false);
  button.addEventListener("click", () => set(field, button, field.type === "password"));
  field.form.addEventListener("submit", () => set(field, button, false));
  field.after(button);
}

document.querySelectorAll(".password > input").forEach(addButton);
