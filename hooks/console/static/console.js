// Fires a hook at the real endpoint and shows what comes. Patient ids are posted, never put into an address.
"use strict";
import { draw } from "./changes.js";
import { curl, packed, save, unpacked } from "./carry.js";
import { known, mark } from "./difference.js";
import { listen } from "./feedback.js";

const $ = (id) => document.getElementById(id);
const form = $("call");
const { base, language } = form.dataset;
const words = JSON.parse(form.dataset.words);
const [sample, hook, area, result, state] = ["sample", "hook", "request", "result", "state"].map($);
const services = Object.fromEntries([...hook.options].filter((o) => o.value).map((o) => [o.value, o.dataset.service]));
let loading = Promise.resolve(); // the sample that is on its way: firing waits for it
let original = null; // the request before anything was changed in the fields
let response = "";
let round = 0;
let timer = 0;

function say(text, bad = false) {
  state.textContent = text;
  state.classList.toggle("bad", bad);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function reason(answer) {
  const told = parsed(await answer.text());
  return told && told.issue ? told.issue[0].diagnostics : "";
}

function keep(key, value) {
  try {
    sessionStorage.setItem(`oncobone.${key}`, value);
  } catch {
    // no storage: what was typed lives as long as the page
  }
}

function kept(key) {
  try {
    return sessionStorage.getItem(`oncobone.${key}`);
  } catch {
    return null;
  }
}

// --- which request ---

function put(text, { own }) {
  area.value = text;
  original = parsed(text);
  $("own").hidden = !own && kept("own") === null;
  if (own) {
    keep("own", text);
    sample.value = "";
  }
  fields();
}

function fields() {
  const request = parsed(area.value);
  const count = draw($("fields"), request, original, words, () => {
    area.value = JSON.stringify(request, null, 2);
    $("undo").hidden = false;
    again();
  });
  $("changes-none").hidden = count > 0;
  $("undo").hidden = !original || JSON.stringify(request) === JSON.stringify(original);
}

async function load() {
  const chosen = sample.selectedOptions[0];
  if (!chosen) return;
  if (!chosen.value) {
    put(kept("own") || area.value, { own: true });
    return;
  }
  const wanted = hook.value || chosen.dataset.hook;
  const answer = await fetch(`${base}/console/samples/${encodeURIComponent(chosen.value)}/${encodeURIComponent(wanted)}`);
  if (!answer.ok) {
    say((await reason(answer)) || String(answer.status), true);
    return;
  }
  const request = await answer.json();
  request.hookInstance = crypto.randomUUID(); // each firing is another invocation
  put(JSON.stringify(request, null, 2), { own: false });
  say("");
}

function reload() {
  keep("sample", sample.value);
  keep("hook", hook.value);
  loading = load().catch(() => say(words.unreachable, true));
}

// What is typed or pasted is the reader's own: it is kept, whatever sample is looked at next.
area.addEventListener("input", () => {
  keep("own", area.value);
  keep("sample", "");
  $("own").hidden = false;
  sample.value = "";
  original = parsed(area.value);
  fields();
});

$("undo").addEventListener("click", () => {
  area.value = JSON.stringify(original, null, 2);
  fields();
  again();
});

// --- firing ---

function again() {
  clearTimeout(timer);
  timer = setTimeout(() => fire({ quiet: true }).catch(() => say(words.unreachable, true)), 250);
}

// The hook that a request names, also one that is no JSON yet.
function hookOf(text) {
  return (parsed(text) || {}).hook || (/"hook"\s*:\s*"([a-z-]+)"/.exec(text) || [])[1];
}

async function fire({ quiet = false, focus = !quiet } = {}) {
  say(words.working);
  await loading;
  const mine = round += 1;
  const text = area.value;
  const wanted = hookOf(text) || hook.value; // not JSON: sent as it is, the service says what is wrong
  const service = services[wanted] || Object.values(services)[0];
  const start = performance.now();
  const answer = await fetch(`${base}/cds-services/${encodeURIComponent(service)}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Accept-Language": language },
    body: text,
  });
  const came = await answer.text();
  const ms = Math.round(performance.now() - start);
  const view = await fetch(`${base}/console/view?lang=${language}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ request: text, response: came, status: answer.status, ms,
      timing: answer.headers.get("Server-Timing") || "", service }),
  });
  if (mine !== round) return; // a newer change is on its way
  if (!view.ok) {
    say((await reason(view)) || String(view.status), true);
    return;
  }
  response = came;
  const before = quiet ? baseline() : null;
  result.innerHTML = await view.text(); // made and escaped by our own server; the page's policy runs no inline script
  result.dataset.service = service;
  if (quiet) mark(result, before, words);
  else shown = known(result);
  say("");
  $("dossier").replaceChildren();
  if (focus) $("result-heading").focus();
}

let shown = null; // the cards before anything was changed: what a change is compared with
function baseline() {
  if (shown === null && result.querySelector("#result-heading")) shown = known(result);
  return shown;
}

result.addEventListener("click", (event) => {
  if (event.target.id !== "go-there") return;
  const { line, column } = result.querySelector(".refused").dataset;
  const at = area.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0) + Number(column) - 1;
  $("paste").open = true;
  area.focus();
  area.setSelectionRange(at, at + 1);
  area.scrollTop = (line - 4) * (area.scrollHeight / area.value.split("\n").length);
});
listen(result, { base, words, reason });

// --- the dossier ---

$("to-dossier").addEventListener("submit", async (event) => {
  $("to-dossier").elements.request.value = area.value;
  if (event.submitter && event.submitter.name === "file") return; // the browser saves what comes
  event.preventDefault();
  await loading;
  const answer = await fetch(`${base}/console/dossier?lang=${language}`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ request: area.value }),
  });
  const place = $("dossier");
  if (!answer.ok) {
    say(await reason(answer), true);
    await fire(); // shows the refusal with its place
    return;
  }
  place.innerHTML = await answer.text(); // as the cards: made and escaped by our own server
  place.focus();
  place.scrollIntoView();
});

// --- from a FHIR server ---

$("fhir-make").addEventListener("click", () => {
  const wanted = hook.value || "patient-view";
  const request = {
    hook: wanted,
    hookInstance: crypto.randomUUID(),
    fhirServer: $("fhir-base").value.trim(),
    context: { userId: "Practitioner/console", patientId: $("fhir-patient").value.trim() },
  };
  request.fhirAuthorization = {
    access_token: $("fhir-token").value || "none", // our service reads nothing without one; an open sandbox takes any
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
  area.value = JSON.stringify(request, null, 2); // with a token in it: not kept beyond this page
  original = request;
  sample.value = "";
  $("own").hidden = false;
  fields();
  $("paste").open = true;
  $("fire").focus();
});

// --- taking it along ---

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    $("taken").textContent = words.copied;
  } catch {
    $("taken").textContent = words.copy_failed;
  }
}

function without(request) {
  const { fhirAuthorization, ...rest } = request; // a token is never taken along
  return rest;
}

function portable() {
  const request = parsed(area.value);
  return request && request.fhirAuthorization ? JSON.stringify(without(request), null, 2) : area.value;
}

async function address() {
  return `${location.origin}${location.pathname}?lang=${language}#r=${await packed(portable())}`;
}

$("permalink").addEventListener("click", async () => {
  const link = await address();
  history.replaceState(null, "", link);
  await copy(link);
});
$("curl").addEventListener("click", () => {
  const service = services[(parsed(area.value) || {}).hook] || Object.values(services)[0];
  copy(curl(`${location.origin}${base}/cds-services/${service}`, portable(), language));
});
$("save-request").addEventListener("click", () => save("request.json", portable()));
$("save-response").addEventListener("click", () => save("response.json", response));

// --- the start ---

sample.addEventListener("change", reload);
hook.addEventListener("change", reload);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  fire().catch(() => say(words.unreachable, true));
});

async function start() {
  const code = new URLSearchParams(location.hash.slice(1)).get("r");
  if (code) {
    try {
      put(await unpacked(code), { own: true });
      return;
    } catch {
      say(words.link_bad, true);
    }
  }
  for (const [field, key] of [[sample, "sample"], [hook, "hook"]]) {
    const last = kept(key);
    if (last !== null && [...field.options].some((option) => option.value === last)) field.value = last;
  }
  if (kept("own") !== null) $("own").hidden = false;
  if (sample.value === "" && kept("own") === null) sample.selectedIndex = 1;
  await load();
}
loading = start().catch(() => say(words.unreachable, true));
// A story is told at once; what came in a link or was typed waits to be fired: it may name a server.
loading
  .then(() => (sample.value ? fire({ focus: false }) : null))
  .catch(() => say(words.unreachable, true))
  .finally(() => { form.dataset.ready = "yes"; });
