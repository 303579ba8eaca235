// The form from launch to saving. Token, chart and answers live in this page only.
"use strict";
import { read } from "./chart.js";
import { Form, el, fill } from "./form.js";
import { attempt, put } from "./save.js";
import { Refusal, ask, begin, finish, parsed } from "./smart.js";

const config = JSON.parse(document.body.dataset.config);
const both = config.texts;
const $ = (id) => document.getElementById(id);
let language = config.language;
const words = () => both[language];
const t = (key, values = {}) => fill(words()[key] || key, values);
let session = null;
let chart = null;
let form = null;
const written = new Map(); // item -> the entry that was saved for it last
const replaced = new Set(); // entries that a correction took the place of and that are not marked yet
let batch = null; // what is being saved: the completed form and its entries
let round = 0;
let timer = 0;
const MOST_SHOWN = 4;
let stale = false; // saved answers are not in the chart that was read
let drawn = ""; // the language of the dossier that is shown
let leaving = false;

function state(key) {
  $("state").textContent = key ? t(key) : "";
}

function trouble(key, ...actions) {
  const place = $("trouble");
  place.replaceChildren(el("p", {}, t(key)), el("div", { class: "actions" }, ...actions));
  place.hidden = false;
  state("");
  place.focus();
}

function button(key, action, kind = "") {
  const made = el("button", { type: "button", class: kind || null }, t(key));
  made.addEventListener("click", action);
  return made;
}

// Refused for good: nothing of this chart stays on the page, and nothing can be saved any more.
function refused(key) {
  session = null;
  chart = null;
  $("work").hidden = true;
  $("results").hidden = true;
  $("tabs").hidden = true;
  $("dossier").replaceChildren();
  $("questions").hidden = true;
  $("patient").hidden = true;
  trouble(key, button("start_again", () => location.assign(config.root)));
}

async function guarded(step) {
  try {
    await step();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    refused(error.key);
  }
}

// --- start ---

function choose() {
  const place = $("choose");
  place.hidden = false;
  if (!config.servers.length) {
    place.replaceChildren(el("p", {}, t("no_server")));
    return;
  }
  const buttons = config.servers.map((base) => {
    const one = el("button", { type: "button" }, base);
    one.addEventListener("click", () => guarded(() => {
      state("signing_in");
      return begin(config, base, "", language);
    }));
    return el("li", {}, one);
  });
  place.replaceChildren(el("h2", {}, t("choose_server")), el("ul", {}, ...buttons));
}

async function launch() {
  state("signing_in");
  await begin(config, config.base, config.launch, language);
}

async function open() {
  state("opening");
  session = await finish(config);
  speak(session.language);
  form = new Form($("form"), spoken(), changed);
  if (session.resume) for (const { item, value } of session.resume.answers) form.answers.set(item, value);
  await load();
  if (session && session.resume) $("state").textContent = t("restored");
}

async function load() {
  state("reading");
  chart = await read(session, config.templates);
  stale = false;
  banner(chart.patient);
  $("tabs").hidden = false;
  await show(form.answers.size ? "questions" : config.tab);
}

// --- the two tabs ---

async function show(tab) {
  for (const one of document.querySelectorAll("[role=tab]")) {
    const chosen = one.dataset.tab === tab;
    one.setAttribute("aria-selected", String(chosen));
    one.tabIndex = chosen ? 0 : -1;
    $(one.dataset.tab).hidden = !chosen;
  }
  if (tab === "questions" && !form.page) await questions();
  if (tab === "dossier") await dossier();
}

// The dossier as it is now: the chart is read again where answers were saved since.
async function dossier() {
  if (stale) {
    state("reading");
    chart = await read(session, config.templates);
    stale = false;
    drawn = "";
  }
  if (drawn === language) return;
  state("opening");
  const answer = await send("view", {});
  if (!answer.ok) {
    trouble("no_dossier", button("again", () => {
      $("trouble").hidden = true;
      guarded(dossier);
    }));
    return;
  }
  $("dossier").innerHTML = answer.text; // made and escaped by our own server; the page's policy runs no inline script
  drawn = language;
  state("");
}

for (const one of document.querySelectorAll("[role=tab]")) {
  one.addEventListener("click", () => guarded(() => show(one.dataset.tab)));
  one.addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const other = document.querySelector(`[role=tab]:not(#${one.id})`);
    other.focus();
    guarded(() => show(other.dataset.tab));
  });
}

function named(patient) {
  const name = (patient.name || []).find((one) => one.use === "official") || (patient.name || [])[0];
  if (!name) return patient.id;
  return name.text || [...(name.given || []), name.family].filter(Boolean).join(" ");
}

function banner(patient) {
  const number = (patient.identifier || []).find((one) => one.value);
  const parts = [`${t("patient")}${t("colon")}${named(patient)}`];
  if (patient.birthDate) parts.push(`${t("born")} ${patient.birthDate}`);
  if (number) parts.push(`${t("identifier")} ${number.value}`);
  const [first, ...rest] = parts;
  $("patient").replaceChildren(first, ...rest.map((part) => el("span", {}, part)));
  $("patient").setAttribute("aria-label", t("patient"));
  $("patient").hidden = false;
}

// --- asking ---

function spoken() {
  return { ...config, texts: words(), outline: config.outline[language] };
}

async function post(path, extra) {
  const answer = await send(path, extra);
  return answer.ok ? parsed(answer.text) : null;
}

function send(path, extra) {
  return ask(`${config.root}/${path}?language=${language}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ patient: session.patient, prefetch: chart, performer: session.performer,
      encounter: session.encounter, ...extra }),
  });
}

async function questions() {
  state("thinking");
  const keep = [...(form.page ? form.items() : []), ...form.answers.keys()];
  const page = await post("questions", { missing: session.missing, keep: [...new Set(keep)] });
  if (!page) {
    trouble("cannot_ask", button("again", () => {
      $("trouble").hidden = true;
      guarded(questions);
    }));
    return;
  }
  state("");
  form.config = spoken();
  form.draw(page);
  $("work").hidden = false;
  changed();
}

function changed() {
  clearTimeout(timer);
  timer = setTimeout(move, 250);
  buttons();
}

function buttons() {
  const none = form.unsaved().length === 0;
  $("save").disabled = none || form.faults.size > 0 || session === null || session.saving;
  $("copy").disabled = form.answers.size === 0;
}

async function move() {
  const mine = round += 1;
  if (!session) return;
  const answers = form.given();
  if (!answers.length) {
    $("changes").replaceChildren(el("p", { class: "small" }, t("preview_none")));
    return;
  }
  const found = await post("preview", { answers });
  if (mine !== round || !session) return; // a newer answer is on its way
  if (!found) {
    $("changes").replaceChildren(el("p", { class: "small" }, t("service_down")));
    return;
  }
  const parts = found.values.map((value) => el("p", { class: "value" }, `${value.label}${t("colon")}`,
    el("strong", {}, `${value.before} → ${value.after}`)));
  if (found.fired.length) parts.push(el("h3", { class: "small" }, t("preview_fired")));
  const drawn = (rule) => el("div", { class: `rule ${rule.indicator}` },
    el("p", {}, el("span", { class: "tag" }, t(`indicator_${rule.indicator}`)), ` ${rule.summary}`),
    rule.points.length && rule.indicator !== "info" ? el("ul", { class: "points" }, ...rule.points.map((point) => el("li", {}, point))) : null,
    el("p", { class: "small" }, rule.rule));
  const loud = found.fired.filter((rule) => rule.indicator !== "info");
  const quiet = found.fired.filter((rule) => rule.indicator === "info");
  parts.push(...loud.map(drawn));
  if (loud.length + quiet.length <= MOST_SHOWN) parts.push(...quiet.map(drawn));
  else if (quiet.length) {
    const open = $("changes").querySelector("details[open]") !== null;
    parts.push(el("details", { open }, el("summary", {}, `${t("indicator_info")} (${quiet.length})`), ...quiet.map(drawn)));
  }
  if (found.gone.length) parts.push(el("p", { class: "small" }, `${t("preview_gone")}${t("colon")}${found.gone.join(", ")}`));
  if (found.dropped.length) parts.push(el("h3", { class: "small" }, t("preview_dropped")));
  parts.push(...found.dropped.map((rule) => el("p", { class: "small" }, `${rule.summary} (${rule.rule})`)));
  if (!parts.length) parts.push(el("p", { class: "small" }, t("preview_none")));
  parts.push(el("p", { class: "small" }, t("preview_open", { count: found.open })));
  $("changes").replaceChildren(...parts);
}

// --- saving ---

async function save() {
  if (!session || session.saving || !form.unsaved().length) return;
  session.saving = true;
  state("saving");
  buttons();
  try {
    const answers = form.unsaved();
    const wanted = JSON.stringify(answers);
    if (!batch || batch.wanted !== wanted) {
      await settle();
      const made = await post("observations", { answers: form.unsaved() });
      if (!made) {
        state("");
        trouble("service_down", button("again", () => {
          $("trouble").hidden = true;
          save();
        }));
        return;
      }
      batch = {
        wanted,
        form: { resource: made.form, text: t("form_record"), items: [], state: "waiting" },
        entries: made.observations.map((entry) => ({ ...entry, state: "waiting" })),
        done: batch ? batch.done : [],
      };
    }
    $("trouble").hidden = true;
    $("results").hidden = false;
    await attempt(session, batch.form, batch.entries, outcomes);
    for (const entry of batch.entries.filter((one) => one.state === "saved")) lock(entry);
    stale = true;
    remember();
    await amend();
  } finally {
    if (session) session.saving = false;
    state("");
    buttons();
  }
  outcomes();
  $("results").focus();
}

// Answers that were changed after a lost reply: first find out what arrived, so that nothing is written twice.
async function settle() {
  if (!batch) return;
  const lost = batch.entries.filter((entry) => entry.lost);
  if (lost.length) {
    await attempt(session, { ...batch.form, state: "saved" }, lost, outcomes);
    for (const entry of lost.filter((one) => one.state === "saved")) lock(entry);
  }
  batch.done = [...batch.done, ...batch.entries.filter((entry) => entry.state === "saved")];
}

// A saved answer is locked; correcting it lets it be changed, and saving the change marks this entry as an error.
function lock(entry) {
  entry.items.forEach((item) => {
    const before = written.get(item);
    if (before && before !== entry) replaced.add(before);
    written.set(item, entry);
    form.lock(item);
  });
}

// The entries that a correction took the place of: marked as entered in error, each once.
async function amend() {
  for (const entry of [...replaced]) {
    if (!entry.reference) continue;
    const id = entry.reference.split("/")[1];
    const done = await put(session, { ...entry.resource, id, status: "entered-in-error" });
    entry.amended = done.ok;
    entry.why = done.ok ? null : done.why;
    if (done.ok) replaced.delete(entry);
  }
}

// What is unknown is no Observation: it is done when the completed form is.
function remember() {
  if (batch.form.state !== "saved") return;
  for (const { item, value } of form.unsaved()) if (value === null) form.lock(item);
}

function outcomes() {
  if (!batch) return;
  const rows = [batch.form, ...batch.done, ...batch.entries];
  $("outcomes").replaceChildren(...rows.map((entry) => {
    const said = { saved: t("saved"), waiting: t("waiting"), failed: t("not_saved"), "not-tried": t("not_tried") }[entry.state];
    const kind = entry.state === "saved" ? "saved" : entry.state === "waiting" ? "" : "failed";
    const why = entry.state === "failed" ? ` — ${t(entry.why, { status: entry.status })}` : "";
    if (entry.amended) {
      return el("li", { "data-state": "amended" }, el("span", { class: "saved" }, t("saved")),
        el("span", {}, `${entry.text} — ${t("corrected")}`));
    }
    return el("li", { "data-state": entry.state, "data-why": entry.why || "" }, el("span", { class: kind }, said),
      el("span", {}, `${entry.text}${why}`));
  }));
  const facts = [...batch.done, ...batch.entries];
  const done = facts.filter((entry) => entry.state === "saved").length;
  const whole = done === facts.length && batch.form.state === "saved";
  $("sum").textContent = whole ? t("all_saved")
    : `${t("some_saved", { saved: done, all: facts.length })} ${t("kept_here")}`;
  const after = [];
  if (!session || !session.saving) {
    if (!whole) {
      const ended = [batch.form, ...batch.entries].some((entry) => entry.why === "why_401" && entry.state === "failed");
      after.push(ended ? button("sign_in_again", again, "main") : button("retry", () => guarded(retry), "main"));
      after.push(button("copy_text", () => guarded(copy)));
    }
  }
  $("after").replaceChildren(...after);
}

async function retry() {
  if (form.unsaved().length) return save();
  // Only the completed form is left to save.
  session.saving = true;
  try {
    await attempt(session, batch.form, batch.entries, outcomes);
  } finally {
    if (session) session.saving = false;
  }
  outcomes();
}

// The sign-in has ended: go through it again, and take the answers along in this tab.
async function again() {
  const answers = form.unsaved();
  const resume = { patient: session.patient, encounter: session.encounter, missing: session.missing, answers };
  leaving = true;
  await guarded(() => begin(config, session.base, "", language, resume));
}

async function copy() {
  const made = await post("observations", { answers: form.given() });
  const area = $("text");
  area.value = made ? made.text : form.given().map(({ item, value }) => `${item}: ${JSON.stringify(value)}`).join("\n");
  area.hidden = false;
  area.setAttribute("aria-label", t("as_text"));
  try {
    await navigator.clipboard.writeText(area.value);
    $("copied").textContent = t("copied");
  } catch {
    area.select();
    $("copied").textContent = t("copy_failed");
  }
}

// --- the page ---

function speak(wanted) {
  language = wanted;
  document.documentElement.lang = wanted;
  for (const one of document.querySelectorAll("[data-text]")) one.textContent = words()[one.dataset.text];
  for (const one of document.querySelectorAll("[data-language]")) {
    one.setAttribute("aria-pressed", String(one.dataset.language === wanted));
  }
  document.title = `OncoBone: ${t("app")}`;
  if (document.body.dataset.step === "choose") choose();
  if (form && session && chart) {
    banner(chart.patient);
    if (form.page) guarded(questions);
    if (!$("dossier").hidden) guarded(dossier);
    outcomes();
  }
}

for (const one of document.querySelectorAll("[data-language]")) {
  one.addEventListener("click", () => speak(one.dataset.language));
}
$("form").addEventListener("submit", (event) => event.preventDefault());
$("save").addEventListener("click", () => guarded(save));
$("copy").addEventListener("click", () => guarded(copy));
window.addEventListener("beforeunload", (event) => {
  if (form && session && form.unsaved().length && !leaving) event.preventDefault();
});

const steps = {
  choose: async () => choose(),
  launch,
  form: open,
  refused: async () => trouble(config.reason),
};
guarded(steps[document.body.dataset.step]);
