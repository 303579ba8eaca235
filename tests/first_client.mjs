// The first client of somebody who has read docs/integration.md and nothing else: from discovery to stored feedback.
// It needs the guide's two services, the folder that its first steps made, and token.mjs as printed there.
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { token } from "./token.mjs";

const { SERVICE = "http://127.0.0.1:8080", SIGNED = "http://127.0.0.1:8081", EHR = "http://127.0.0.1:8091" } = process.env;
const ISSUER = "https://ehr.example.org";
const begun = Date.now();

function say(text) {
  console.log(`${((Date.now() - begun) / 1000).toFixed(1)} s  ${text}`);
}

async function json(answer, what) {
  if (!answer.ok) throw new Error(`${what}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

// A token is good for one call of one address.
function bearer(address) {
  return { Authorization: `Bearer ${token("ehr/private-key.pem", ISSUER, address)}` };
}

function post(address, body, headers = {}) {
  return fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
}

// --- a signed call ---

async function signedCall() {
  const discovery = `${SIGNED}/cds-services`;
  const { services } = await json(await fetch(discovery, { headers: bearer(discovery) }), "discovery");
  const request = JSON.parse(readFileSync("requests/zoledronic-order-crcl-45.json", "utf8"));
  const service = services.find((one) => one.hook === request.hook);
  const address = `${discovery}/${service.id}`;
  const { cards } = await json(await post(address, request, bearer(address)), "call");
  if (!cards.length) throw new Error("no card: was it answered before? See quiet_days in the guide");
  say(`signed call: ${cards[0].indicator}, ${cards[0].summary}`);
  return { address, card: cards[0] };
}

// --- feedback ---

async function feedback({ address, card }) {
  const told = { card: card.uuid, outcomeTimestamp: new Date().toISOString() };
  const [suggestion] = card.suggestions || [];
  if (suggestion) Object.assign(told, { outcome: "accepted", acceptedSuggestions: [{ id: suggestion.uuid }] });
  else told.outcome = "overridden";
  const to = `${address}/feedback`;
  const answer = await post(to, { feedback: [told] }, bearer(to));
  if (!answer.ok) throw new Error(`feedback: ${answer.status} ${await answer.text()}`);
  say(`feedback stored: ${told.outcome}`);
}

// --- the form: launched by the EHR, saved with the user's own token ---

async function launched() {
  const page = await (await fetch(`${EHR}/`)).text();
  const links = [...page.matchAll(/href="([^"]+)"/g)].map(([, url]) => new URL(url.replaceAll("&amp;", "&")));
  const link = links.find((url) => url.pathname === "/dossier/launch");
  const opened = await fetch(link);
  if (!opened.ok) throw new Error(`launch: ${opened.status}`);
  return { iss: link.searchParams.get("iss"), launch: link.searchParams.get("launch") };
}

async function signedIn({ iss, launch }) {
  const where = await json(await fetch(`${iss}/.well-known/smart-configuration`), "smart-configuration");
  const verifier = randomBytes(48).toString("base64url");
  const back = `${SERVICE}/ask/form`;
  const query = new URLSearchParams({
    response_type: "code", client_id: "oncobone-sandbox", redirect_uri: back, aud: iss, launch, state: "s",
    scope: "launch openid fhirUser patient/*.rs patient/Observation.cu patient/QuestionnaireResponse.c",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"), code_challenge_method: "S256",
  });
  const sent = await fetch(`${where.authorization_endpoint}?${query}`, { redirect: "manual" });
  const code = new URL(sent.headers.get("location")).searchParams.get("code");
  const body = new URLSearchParams({ grant_type: "authorization_code", code, redirect_uri: back,
    client_id: "oncobone-sandbox", code_verifier: verifier });
  const told = await json(await fetch(where.token_endpoint, { method: "POST", body }), "token");
  return { base: iss, patient: told.patient, performer: told.fhirUser,
    headers: { Authorization: `Bearer ${told.access_token}`, Accept: "application/fhir+json" } };
}

async function chart(ehr) {
  const { services } = await json(await fetch(`${SERVICE}/cds-services`), "discovery");
  const { prefetch } = services.find((one) => one.hook === "patient-view");
  const read = Object.entries(prefetch).map(async ([key, template]) => {
    const query = template.replaceAll("{{context.patientId}}", ehr.patient);
    return [key, await json(await fetch(`${ehr.base}/${query}`, { headers: ehr.headers }), key)];
  });
  return { patient: ehr.patient, prefetch: Object.fromEntries(await Promise.all(read)) };
}

function answered(item) {
  if (item.kind === "yes-no") return { item: item.item, value: true };
  if (item.options) return { item: item.item, value: item.options[0].code };
  return null;
}

async function form() {
  const ehr = await signedIn(await launched());
  const body = await chart(ehr);
  const { blocks } = await json(await post(`${SERVICE}/ask/questions`, body), "questions");
  const answers = blocks.flatMap((block) => block.items).map(answered).filter(Boolean).slice(0, 1);
  if (!answers.length) throw new Error("nothing was asked");
  const made = await json(
    await post(`${SERVICE}/ask/observations`, { ...body, answers, performer: ehr.performer }), "observations");
  const saved = [];
  for (const resource of [made.form, ...made.observations.map((one) => one.resource)]) {
    const headers = { ...ehr.headers, "Content-Type": "application/fhir+json" };
    const to = `${ehr.base}/${resource.resourceType}`;
    const kept = await json(await fetch(to, { method: "POST", headers, body: JSON.stringify(resource) }), to);
    const again = await json(await fetch(`${to}/${kept.id}`, { headers: ehr.headers }), "read again");
    if (again.subject.reference !== `Patient/${ehr.patient}`) throw new Error("saved for somebody else");
    saved.push(`${again.resourceType}/${again.id}`);
  }
  say(`form saved: ${saved.join(", ")}`);
}

const call = await signedCall();
await form();
await feedback(call);
