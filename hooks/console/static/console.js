// Fires a hook at the real endpoint, shows what came, and sends feedback. Patient ids are posted, never put in a URL.
"use strict";
const form = document.getElementById("call");
const sample = document.getElementById("sample");
const hook = document.getElementById("hook");
const area = document.getElementById("request");
const result = document.getElementById("result");
const state = document.getElementById("state");
const language = form.dataset.language;
const services = Object.fromEntries(
  [...hook.options].filter((o) => o.value).map((o) => [o.value, o.dataset.service]),
);
let loading = Promise.resolve(); // the sample that is on its way: firing waits for it

function say(text, bad = false) {
  state.textContent = text;
  state.classList.toggle("bad", bad);
}

async function load() {
  const chosen = sample.selectedOptions[0];
  if (!chosen) return;
  const wanted = hook.value || chosen.dataset.hook;
  const answer = await fetch(`/console/samples/${encodeURIComponent(chosen.value)}/${encodeURIComponent(wanted)}`);
  if (!answer.ok) {
    area.value = "";
    say((await reason(answer)) || String(answer.status), true);
    return;
  }
  const request = await answer.json();
  request.hookInstance = crypto.randomUUID(); // each firing is another invocation
  area.value = JSON.stringify(request, null, 2);
  say("");
}

async function reason(answer) {
  try {
    return (await answer.json()).issue[0].diagnostics;
  } catch {
    return "";
  }
}

async function fire() {
  say(form.dataset.working);
  await loading;
  let wanted = "";
  try {
    wanted = JSON.parse(area.value).hook;
  } catch {
    wanted = hook.value; // not JSON: sent as it is, the service says what is wrong
  }
  const service = services[wanted] || Object.values(services)[0];
  const start = performance.now();
  const answer = await fetch(`/cds-services/${encodeURIComponent(service)}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Accept-Language": language },
    body: area.value,
  });
  const text = await answer.text();
  const ms = Math.round(performance.now() - start);
  const timing = answer.headers.get("Server-Timing") || "";
  const view = await fetch(`/console/view?lang=${language}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ request: area.value, response: text, status: answer.status, ms, timing, service }),
  });
  if (!view.ok) {
    say((await reason(view)) || String(view.status), true);
    return;
  }
  result.innerHTML = await view.text(); // made and escaped by our own server; the page's policy runs no inline script
  result.dataset.service = service;
  say("");
  document.getElementById("result-heading").focus();
}

async function feedback(button, entry, told) {
  const card = button.closest(".card");
  const shown = card.querySelector(".feedback");
  button.disabled = true;
  try {
    const answer = await fetch(`/cds-services/${encodeURIComponent(result.dataset.service)}/feedback`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ feedback: [{ outcomeTimestamp: new Date().toISOString(), ...entry }] }),
    });
    shown.textContent = answer.ok
      ? told
      : `${form.dataset.failed} (${answer.status}): ${await reason(answer)}`;
    shown.classList.toggle("bad", !answer.ok);
    card.classList.toggle("done", answer.ok);
    button.disabled = answer.ok;
  } catch {
    shown.textContent = form.dataset.unreachable;
    shown.classList.add("bad");
    button.disabled = false;
  }
}

result.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.classList.contains("accept")) {
    const entry = {
      card: button.dataset.card,
      outcome: "accepted",
      acceptedSuggestions: [{ id: button.dataset.suggestion }],
    };
    feedback(button, entry, form.dataset.accepted);
  } else if (button.classList.contains("override-button")) {
    const around = button.closest(".override");
    const choice = around.querySelector("select");
    const picked = choice && choice.value ? choice.selectedOptions[0] : null;
    const comment = around.querySelector(".comment").value.trim();
    const entry = { card: button.dataset.card, outcome: "overridden" };
    if (picked || comment) entry.overrideReason = {};
    if (picked) entry.overrideReason.reason = { code: picked.value, system: picked.dataset.system };
    if (comment) entry.overrideReason.userComment = comment;
    feedback(button, entry, form.dataset.overridden);
  }
});

document.getElementById("fhir-make").addEventListener("click", () => {
  const wanted = hook.value || "patient-view";
  const request = {
    hook: wanted,
    hookInstance: crypto.randomUUID(),
    fhirServer: document.getElementById("fhir-base").value.trim(),
    context: { userId: "Practitioner/console", patientId: document.getElementById("fhir-patient").value.trim() },
  };
  const token = document.getElementById("fhir-token").value;
  request.fhirAuthorization = {
    access_token: token || "none", // our service reads nothing without one; an open sandbox takes any
    token_type: "Bearer",
    expires_in: 300,
    scope: "patient/*.read",
    subject: "oncobone",
  };
  if (wanted === "encounter-start") request.context.encounterId = "console";
  if (wanted.startsWith("order")) {
    request.context.draftOrders = { resourceType: "Bundle", type: "collection", entry: [] };
    if (wanted === "order-select") request.context.selections = [];
  }
  area.value = JSON.stringify(request, null, 2);
  area.closest("details").open = true;
  document.getElementById("fire").focus();
});

function reload() {
  try {
    sessionStorage.setItem("sample", sample.value); // the names of a sample and a hook: never patient data
    sessionStorage.setItem("hook", hook.value);
  } catch {
    // no storage: the choice is forgotten when the language changes
  }
  loading = load().catch(() => say(form.dataset.unreachable, true));
}

sample.addEventListener("change", reload);
hook.addEventListener("change", reload);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  fire().catch(() => say(form.dataset.unreachable, true));
});
try {
  for (const [field, key] of [[sample, "sample"], [hook, "hook"]]) {
    const kept = sessionStorage.getItem(key);
    if (kept !== null && [...field.options].some((option) => option.value === kept)) field.value = kept;
  }
} catch {
  // no storage
}
reload();
