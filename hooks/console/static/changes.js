// The common changes to a request: results of observations, doses and dates of draft orders, days of doses given.
"use strict";
const MOST = 14;

function text(concept) {
  if (!concept) return "";
  const coding = (concept.coding || [])[0] || {};
  return concept.text || coding.display || coding.code || "";
}

function entries(bundle) {
  const found = bundle && Array.isArray(bundle.entry) ? bundle.entry : [];
  return found.map((entry) => entry && entry.resource).filter((one) => one && typeof one === "object");
}

// The newest result of each kind, as places that can be written to.
function results(request) {
  const newest = new Map();
  for (const one of entries((request.prefetch || {}).observations)) {
    const name = text(one.code);
    if (!name || !one.valueQuantity || typeof one.valueQuantity.value !== "number") continue;
    const day = one.effectiveDateTime || "";
    if (!newest.has(name) || (newest.get(name).effectiveDateTime || "") < day) newest.set(name, one);
  }
  return [...newest].map(([name, one]) => ({
    name, unit: one.valueQuantity.unit || one.valueQuantity.code || "",
    value: { holder: one.valueQuantity, key: "value" },
    date: one.effectiveDateTime ? { holder: one, key: "effectiveDateTime" } : null,
  }));
}

function orders(request) {
  return entries((request.context || {}).draftOrders).map((one) => {
    const dosage = (one.dosageInstruction || [])[0] || {};
    const dose = ((dosage.doseAndRate || [])[0] || {}).doseQuantity;
    return {
      name: text(one.medicationCodeableConcept) || text(one.code), unit: (dose && (dose.unit || dose.code)) || "",
      value: dose && typeof dose.value === "number" ? { holder: dose, key: "value" } : null,
      date: one.authoredOn ? { holder: one, key: "authoredOn" } : null,
    };
  });
}

function given(request) {
  return entries((request.prefetch || {}).medicationAdministrations).map((one) => ({
    name: text(one.medicationCodeableConcept), unit: "", value: null,
    date: one.effectiveDateTime ? { holder: one, key: "effectiveDateTime" }
      : one.effectivePeriod && one.effectivePeriod.start ? { holder: one.effectivePeriod, key: "start" } : null,
  }));
}

export function changeable(request) {
  if (!request || typeof request !== "object") return [];
  return [...orders(request), ...given(request), ...results(request)]
    .filter((one) => one.name && (one.value || one.date)).slice(0, MOST);
}

// Draws the fields; `changed` is called after each change with the changed request.
export function draw(place, request, originals, words, changed) {
  const rows = changeable(request);
  const before = changeable(originals);
  place.replaceChildren(...rows.map((row, at) => {
    const old = before[at] || row;
    const made = document.createElement("div");
    made.className = "field";
    const what = document.createElement("span");
    what.className = "what";
    what.textContent = row.name + (row.unit && !row.unit.startsWith("{") ? ` (${row.unit})` : "");
    const was = document.createElement("span");
    was.className = "was";
    made.append(what);
    const mark = () => {
      const told = [row.value && row.value.holder[row.value.key] !== old.value.holder[old.value.key] ? old.value.holder[old.value.key] : null,
        row.date && row.date.holder[row.date.key] !== old.date.holder[old.date.key] ? old.date.holder[old.date.key].slice(0, 10) : null];
      const parts = told.filter((one) => one !== null);
      was.textContent = parts.length ? ` ← ${parts.join(", ")}` : "";
      made.classList.toggle("changed", parts.length > 0);
    };
    if (row.value) {
      const field = document.createElement("input");
      field.type = "number";
      field.step = "any";
      field.value = row.value.holder[row.value.key];
      field.setAttribute("aria-label", words.change_value.replace("{name}", row.name));
      field.addEventListener("input", () => {
        if (field.value === "" || !Number.isFinite(field.valueAsNumber)) return;
        row.value.holder[row.value.key] = field.valueAsNumber;
        mark();
        changed();
      });
      made.append(field);
    } else made.append(document.createElement("span"));
    if (row.date) {
      const field = document.createElement("input");
      field.type = "date";
      const whole = row.date.holder[row.date.key];
      field.value = whole.slice(0, 10);
      field.setAttribute("aria-label", words.change_date.replace("{name}", row.name));
      field.addEventListener("input", () => {
        if (!field.value) return;
        row.date.holder[row.date.key] = field.value + whole.slice(10);
        mark();
        changed();
      });
      made.append(field);
    }
    what.append(was);
    mark();
    return made;
  }));
  return rows.length;
}
