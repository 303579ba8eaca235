// Reads the patient's data from the EHR with the user's token, by our own templates only.
"use strict";
import { Refusal, fhir, parsed } from "./smart.js";
const MOST_PAGES = 40;
const MOST_MEDICATIONS = 20;
const MEDICATION = /^Medication\/(?!\.+$)[A-Za-z0-9.-]{1,64}$/;
const CATEGORIES = ["laboratory", "vital-signs", "survey", "exam", "imaging", "procedure", "therapy", "social-history",
  "activity"];

async function pages(session, query) {
  return (await search(session, query)).bundle;
}

// A search with all its pages, and how it was answered.
async function search(session, query) {
  const answer = await fhir(session, query);
  return { status: answer.status, bundle: await following(session, answer) };
}

async function following(session, found) {
  let answer = found;
  const first = answer.ok ? parsed(answer.text) : null;
  if (!first || first.resourceType !== "Bundle") return first;
  const whole = { resourceType: "Bundle", type: "searchset", entry: [...(first.entry || [])] };
  let bundle = first;
  for (let page = 1; ; page += 1) {
    const next = (bundle.link || []).find((link) => link.relation === "next");
    if (!next) return whole;
    answer = page < MOST_PAGES ? await fhir(session, String(next.url)) : { ok: false };
    bundle = answer.ok ? parsed(answer.text) : null;
    if (!bundle || bundle.resourceType !== "Bundle") {
      whole.link = [{ relation: "next", url: "not-followed" }]; // the list goes on: nothing is concluded from silence
      return whole;
    }
    whole.entry.push(...(bundle.entry || []));
  }
}

// Some servers refuse a search for all results as too wide: then category by category (those of FHIR R4).
async function results(session, query) {
  const { status, bundle } = await search(session, query);
  if (status !== 400) return bundle;
  const parts = await Promise.all(CATEGORIES.map((category) => pages(session, `${query}&category=${category}`)));
  const came = parts.filter((part) => part && part.resourceType === "Bundle");
  if (!came.length) return null;
  const whole = { resourceType: "Bundle", type: "searchset", entry: came.flatMap((part) => part.entry || []) };
  if (came.length < parts.length || came.some((part) => part.link)) {
    whole.link = [{ relation: "next", url: "not-followed" }];
  }
  return whole;
}

// Orders and doses may only refer to a Medication: without it nobody knows which drug they are.
async function addMedications(session, found) {
  const holders = [found.medications, found.medicationAdministrations].filter((one) => one && one.entry);
  const listed = holders.flatMap((one) => one.entry.map((entry) => entry.resource || {}));
  const here = new Set(listed.map((one) => `${one.resourceType}/${one.id}`));
  const names = listed.map((one) => (one.medicationReference || {}).reference || "");
  const asked = [...new Set(names)].filter((name) => MEDICATION.test(name) && !here.has(name));
  await Promise.all(asked.slice(0, MOST_MEDICATIONS).map(async (name) => {
    const answer = await fhir(session, name);
    const resource = answer.ok ? parsed(answer.text) : null;
    if (resource && resource.resourceType === "Medication") holders[0].entry.push({ resource });
  }));
}

// Gives key -> resource or Bundle; what could not be had is left out, and counts as unknown.
export async function read(session, templates) {
  const found = {};
  const filled = (template) => template.replaceAll("{{context.patientId}}", encodeURIComponent(session.patient));
  await Promise.all(Object.entries(templates).map(async ([key, template]) => {
    const got = await (key === "observations" ? results : pages)(session, filled(template));
    if (got) found[key] = got;
  }));
  if (!found.patient || found.patient.resourceType !== "Patient") throw new Refusal("cannot_read");
  if (found.patient.id !== session.patient) throw new Refusal("other_patient");
  await addMedications(session, found);
  return found;
}
