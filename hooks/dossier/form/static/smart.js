// SMART App Launch: discovery, PKCE, the token, and who it is for. The token is kept in memory only.
"use strict";
const STORE = "oncobone.ask.";
const OPEN = `${STORE}open`;
const LONGEST_SIGN_IN_MS = 15 * 60 * 1000;
const PATIENCE_MS = 10000;
const ID = /^[A-Za-z0-9\-.]{1,64}$/;
const PERSON = /^(Practitioner|PractitionerRole|Patient|RelatedPerson)\/[A-Za-z0-9\-.]{1,64}$/;

// A refusal that has words for the reader: `key` is one of the form's texts.
export class Refusal extends Error {
  constructor(key) {
    super(key);
    this.key = key;
  }
}

function encoded(bytes) {
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function random(length) {
  return encoded(crypto.getRandomValues(new Uint8Array(length)));
}

function isSafe(url, config) {
  if (url.protocol === "https:") return true;
  return config.loopback && url.protocol === "http:" && ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
}

// An endpoint that discovery names: secure, and of the server's own origin or of one that the site trusts.
function endpoint(text, base, config) {
  let url;
  try {
    url = new URL(text);
  } catch {
    throw new Refusal("bad_discovery");
  }
  const trusted = [new URL(base).origin, ...config.trusted];
  if (!isSafe(url, config) || url.username || !trusted.includes(url.origin)) throw new Refusal("foreign_endpoint");
  return url;
}

// Fetches without cookies and without following redirects, and gives up in time.
export async function ask(url, options = {}) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), PATIENCE_MS);
  try {
    const answer = await fetch(url, {
      ...options,
      signal: stop.signal,
      redirect: "error",
      credentials: "omit",
      referrerPolicy: "no-referrer",
      cache: "no-store",
    });
    const text = await answer.text();
    return { status: answer.status, ok: answer.ok, text, headers: answer.headers };
  } catch (error) {
    return { status: 0, ok: false, text: "", late: stop.signal.aborted };
  } finally {
    clearTimeout(timer);
  }
}

export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const READ = ["Patient", "Condition", "Observation", "MedicationRequest", "Procedure", "AllergyIntolerance",
  "MedicationAdministration", "ServiceRequest", "Medication"];
const READ_BY_ID = ["Patient", "Medication"];

function scopes(capabilities, launch) {
  const second = capabilities.includes("permission-v2");
  const reading = READ.map((type) => `patient/${type}.${second ? (READ_BY_ID.includes(type) ? "r" : "rs") : "read"}`);
  const writing = [["Observation", "cu"], ["QuestionnaireResponse", "c"]] // an Observation of ours may be corrected
    .map(([type, may]) => `patient/${type}.${second ? may : "write"}`);
  return [launch ? "launch" : "launch/patient", "openid", "fhirUser", ...reading, ...writing].join(" ");
}

// Leaves for the sign-in. `resume` comes back with it: answers to be kept, and for whom.
export async function begin(config, base, launch, language, resume = null) {
  if (!config.servers.includes(base)) throw new Refusal("refused_server");
  if (!isSafe(new URL(base), config)) throw new Refusal("refused_https");
  const answer = await ask(`${base}/.well-known/smart-configuration`, { headers: { Accept: "application/json" } });
  const found = answer.ok ? parsed(answer.text) : null;
  if (!found || typeof found.authorization_endpoint !== "string" || typeof found.token_endpoint !== "string") {
    throw new Refusal("bad_discovery");
  }
  const methods = found.code_challenge_methods_supported;
  if (Array.isArray(methods) && !methods.includes("S256")) throw new Refusal("bad_discovery");
  const authorize = endpoint(found.authorization_endpoint, base, config);
  const token = endpoint(found.token_endpoint, base, config);
  const state = random(32);
  const verifier = random(48);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  const redirect = `${location.origin}${config.root}/form`;
  const started = { base, token: token.href, verifier, redirect, at: Date.now(), language, resume, issuer: found.issuer || null };
  sessionStorage.setItem(STORE + state, JSON.stringify(started));
  const capabilities = Array.isArray(found.capabilities) ? found.capabilities : [];
  const asked = {
    response_type: "code",
    client_id: config.client,
    redirect_uri: redirect,
    scope: scopes(capabilities, launch),
    state,
    aud: base,
    code_challenge: encoded(new Uint8Array(digest)),
    code_challenge_method: "S256",
  };
  if (launch) asked.launch = launch;
  for (const [name, value] of Object.entries(asked)) authorize.searchParams.set(name, value);
  location.assign(authorize.href);
}

function claims(token) {
  // Read only to name the performer: it came straight from the token endpoint, over a connection that is checked.
  if (typeof token !== "string") return {};
  const part = token.split(".")[1] || "";
  try {
    return JSON.parse(atob(part.replace(/-/g, "+").replace(/_/g, "/")));
  } catch {
    return {};
  }
}

function person(told, base) {
  if (typeof told !== "string") return null;
  const relative = told.startsWith(`${base}/`) ? told.slice(base.length + 1) : told;
  return PERSON.test(relative) ? relative : null;
}

function named(context) {
  const found = typeof context === "string" ? parsed(context) : context;
  return found && Array.isArray(found.missing) ? found.missing.filter((name) => typeof name === "string") : [];
}

// Comes back from the sign-in; gives the session: base, token, patient, encounter, performer, what to ask first.
export async function finish(config) {
  const came = new URLSearchParams(location.search);
  history.replaceState(null, "", location.pathname);
  const state = came.get("state");
  const kept = state && /^[A-Za-z0-9_-]{43}$/.test(state) ? sessionStorage.getItem(STORE + state) : null;
  if (!kept) throw new Refusal("bad_state");
  sessionStorage.removeItem(STORE + state);
  const started = parsed(kept);
  if (!started || Date.now() - started.at > LONGEST_SIGN_IN_MS || !config.servers.includes(started.base)) {
    throw new Refusal("bad_state");
  }
  if (came.get("iss") && started.issuer && came.get("iss") !== started.issuer) throw new Refusal("bad_state");
  if (came.get("error") || !came.get("code")) throw Object.assign(new Refusal("sign_in_refused"), { started });
  const told = await tokens(started, {
    grant_type: "authorization_code",
    code: came.get("code"),
    redirect_uri: started.redirect,
    code_verifier: started.verifier,
    client_id: config.client,
  });
  if (!told) throw Object.assign(new Refusal("sign_in_refused"), { started });
  if (typeof told.patient !== "string" || !ID.test(told.patient)) throw new Refusal("no_patient");
  const resume = started.resume;
  if (resume && resume.patient !== told.patient) throw Object.assign(new Refusal("other_patient"), { resume });
  const session = {
    id: random(12),
    base: started.base,
    tokenUrl: started.token,
    access: told.access_token,
    refresh: typeof told.refresh_token === "string" ? told.refresh_token : null,
    patient: told.patient,
    encounter: typeof told.encounter === "string" && ID.test(told.encounter) ? `Encounter/${told.encounter}` : null,
    performer: person(claims(told.id_token).fhirUser, started.base) || person(told.fhirUser, started.base)
      || person(told.user, started.base),
    missing: resume ? resume.missing : named(told.appContext),
    resume,
    language: started.language,
    client: config.client,
    saving: false,
  };
  if (resume && resume.encounter) session.encounter = resume.encounter;
  sessionStorage.setItem(OPEN, session.id);
  return session;
}

async function tokens(started, body) {
  const answer = await ask(started.token, {
    method: "POST",
    headers: { "Content-Type": "application/x-www-form-urlencoded", Accept: "application/json" },
    body: new URLSearchParams(body).toString(),
  });
  const told = answer.ok ? parsed(answer.text) : null;
  return told && typeof told.access_token === "string" && /^bearer$/i.test(told.token_type || "") ? told : null;
}

// Asks for a new token where the old one has ended; another patient's is refused.
export async function renew(session) {
  if (!session.refresh) return false;
  const told = await tokens({ token: session.tokenUrl },
    { grant_type: "refresh_token", refresh_token: session.refresh, client_id: session.client });
  if (!told) return false;
  if (told.patient !== undefined && told.patient !== session.patient) throw new Refusal("other_patient");
  session.access = told.access_token;
  if (typeof told.refresh_token === "string") session.refresh = told.refresh_token;
  return true;
}

// One request to the FHIR server, under its base only.
export async function fhir(session, path, options = {}) {
  const url = path.startsWith(session.base) ? path : `${session.base}/${path}`;
  if (!url.startsWith(`${session.base}/`) && !url.startsWith(`${session.base}?`)) return { status: 0, ok: false, text: "" };
  if (url.includes("/../") || url.includes("\\") || url.includes("#")) return { status: 0, ok: false, text: "" };
  const headers = { Accept: "application/fhir+json", Authorization: `Bearer ${session.access}`, ...options.headers };
  return ask(url, { ...options, headers });
}

// Another launch in this tab, or a token for somebody else: from then on nothing is written.
export async function stillTheSame(session) {
  if (sessionStorage.getItem(OPEN) !== session.id) throw new Refusal("other_patient");
  const answer = await fhir(session, `Patient/${session.patient}`);
  const found = answer.ok ? parsed(answer.text) : null;
  if (answer.status === 403 || answer.status === 404 || (found && found.id !== session.patient)) {
    throw new Refusal("other_patient");
  }
  return answer;
}
