// Reads the patient's data from the EHR with the user's token, by our own templates only.
"use strict";
import { Refusal, fhir, parsed } from "./smart.js";
const MOST_PAGES = 40;

async function pages(session, query) {
  let answer = await fhir(session, query);
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

// Gives key -> resource or Bundle; what could not be had is left out, and counts as unknown.
export async function read(session, templates) {
  const found = {};
  const filled = (template) => template.replaceAll("{{context.patientId}}", encodeURIComponent(session.patient));
  await Promise.all(Object.entries(templates).map(async ([key, template]) => {
    const got = await pages(session, filled(template));
    if (got) found[key] = got;
  }));
  if (!found.patient || found.patient.resourceType !== "Patient") throw new Refusal("cannot_read");
  if (found.patient.id !== session.patient) throw new Refusal("other_patient");
  return found;
}
