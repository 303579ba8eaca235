// Saves the answers one by one with the user's own token, and says of each what came of it.
"use strict";
import { Refusal, fhir, parsed, renew, stillTheSame } from "./smart.js";

const KNOWN = { 401: "why_401", 403: "why_403", 404: "why_422", 409: "why_409", 412: "why_409", 400: "why_422", 422: "why_422" };

function reason(answer) {
  if (answer.status === 0) return answer.late ? "why_timeout" : "why_network";
  return KNOWN[answer.status] || (answer.status >= 500 ? "why_500" : "why_other");
}

// Where a saved resource is: from its body, else from the Location header.
function reference(answer, type) {
  const body = parsed(answer.text);
  if (body && body.resourceType === type && typeof body.id === "string") return `${type}/${body.id}`;
  const location = answer.headers ? answer.headers.get("Location") || "" : "";
  const found = new RegExp(`${type}/([A-Za-z0-9\\-.]{1,64})`).exec(location);
  return found ? `${type}/${found[1]}` : null;
}

async function post(session, resource) {
  // The last look before anything leaves: it is about the patient whose chart is open, and nobody else.
  if (resource.subject.reference !== `Patient/${session.patient}`) throw new Refusal("other_patient");
  const send = () => fhir(session, resource.resourceType, {
    method: "POST",
    headers: { "Content-Type": "application/fhir+json" },
    body: JSON.stringify(resource),
  });
  const answer = await send();
  if (answer.status !== 401 || !(await renew(session))) return answer;
  await stillTheSame(session);
  return send();
}

// Writes a changed resource of ours back; only of the patient whose chart is open.
export async function put(session, resource) {
  if (resource.subject.reference !== `Patient/${session.patient}`) throw new Refusal("other_patient");
  const answer = await fhir(session, `${resource.resourceType}/${encodeURIComponent(resource.id)}`, {
    method: "PUT",
    headers: { "Content-Type": "application/fhir+json" },
    body: JSON.stringify(resource),
  });
  return { ok: answer.ok, why: answer.ok ? null : reason(answer) };
}

// An entry whose answer got lost may have arrived: it is looked for by its identifier, not sent blindly again.
async function arrived(session, resource) {
  const [identifier] = [].concat(resource.identifier);
  const query = new URLSearchParams({ patient: session.patient, identifier: `${identifier.system}|${identifier.value}` });
  const answer = await fhir(session, `${resource.resourceType}?${query}`);
  const bundle = answer.ok ? parsed(answer.text) : null;
  const entry = bundle && (bundle.entry || []).find((one) => one.resource && one.resource.resourceType === resource.resourceType);
  return entry ? `${resource.resourceType}/${entry.resource.id}` : bundle ? false : null;
}

// One attempt: `entries` hold resource, words and items; each gets `state` (saved, failed, not-tried) and `why`.
export async function attempt(session, form, entries, tell) {
  await stillTheSame(session).then(async (answer) => {
    if (answer.status === 401) await renew(session);
  });
  let stop = false;
  for (const entry of [form, ...entries]) {
    if (entry.state === "saved") continue;
    if (stop) {
      entry.state = "not-tried";
      entry.why = null;
      tell();
      continue;
    }
    entry.state = "waiting";
    tell();
    let found = null;
    if (entry.lost) {
      found = await arrived(session, entry.resource);
      if (found === null) {
        entry.state = "failed";
        entry.why = "why_timeout";
        stop = true;
        tell();
        continue;
      }
    }
    if (!found) {
      if (entry !== form) entry.resource = derived(entry.resource, form.reference);
      const answer = await post(session, entry.resource);
      if (answer.status === 200 || answer.status === 201) {
        found = reference(answer, entry.resource.resourceType) || true;
      } else {
        entry.state = "failed";
        entry.why = reason(answer);
        entry.status = answer.status;
        entry.lost = answer.status === 0;
        stop = answer.status === 0 || answer.status === 401;
      }
    }
    if (found) {
      entry.state = "saved";
      entry.why = null;
      entry.lost = false;
      entry.reference = typeof found === "string" ? found : null;
    }
    tell();
  }
}

function derived(resource, form) {
  const { derivedFrom, ...rest } = resource;
  return form ? { ...rest, derivedFrom: [{ reference: form }] } : rest;
}
