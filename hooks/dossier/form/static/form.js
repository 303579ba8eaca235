// Draws the questions and keeps the answers; everything from the chart goes in as text, never as markup.
"use strict";

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (key === "class") made.className = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function svg(name, attributes = {}) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

const UNKNOWN = "~unknown";
const REACH = 8; // the radius of a spot in the picture's own units: 24 px across where it is drawn at one and a half
const MOST_RADIOS = 8;
let counter = 0;

// One form: `answers` maps item -> value (null is "unknown"); `onChange` is told of each change.
export class Form {
  constructor(root, config, onChange) {
    this.root = root;
    this.config = config;
    this.onChange = onChange;
    this.answers = new Map();
    this.saved = new Set();
    this.faults = new Map();
    this.added = [];
  }

  text(key, values = {}) {
    return fill(this.config.texts[key], values);
  }

  draw(page) {
    this.page = page;
    this.faults.clear();
    this.added = this.added.filter((block) => !page.blocks.some((other) => other.lesion === block.lesion));
    const first = page.blocks.filter((block) => !block.more);
    const more = page.blocks.filter((block) => block.more);
    const parts = [];
    if (!page.blocks.length) {
      parts.push(el("p", {}, this.text(page.in_scope ? "nothing_to_ask" : "not_in_scope")));
    }
    parts.push(...first.map((block) => this.block(block)));
    if (more.length) {
      const count = more.reduce((sum, block) => sum + block.items.length, 0);
      parts.push(el("details", { class: "more" }, el("summary", {}, `${this.text("more")} (${count})`),
        ...more.map((block) => this.block(block))));
    }
    this.lesions = el("div", {}, ...this.added.map((block) => this.block(block)));
    parts.push(this.lesions);
    if (page.in_scope) {
      const add = el("button", { type: "button" }, this.text("add_lesion"));
      add.addEventListener("click", () => this.addLesion());
      parts.push(el("div", { class: "actions" }, add));
    }
    if (page.known.length) {
      parts.push(el("details", { class: "known-list" }, el("summary", {}, this.text("known_title")),
        el("ul", {}, ...page.known.map((row) => el("li", {}, `${row.label} — ${row.text}`)))));
    }
    this.root.replaceChildren(...parts);
    for (const item of this.saved) this.lock(item);
  }

  // Every item on the page, so that a redrawn form asks the same.
  items() {
    return [...this.page.blocks, ...this.added].flatMap((block) => block.items.map((item) => item.item));
  }

  addLesion() {
    const taken = new Set([...this.page.blocks, ...this.added].map((block) => block.lesion));
    let number = 1;
    while (taken.has(`new-${number}`)) number += 1;
    const name = `new-${number}`;
    const rename = (item) => ({ ...item, item: item.item.replace("lesions[new-1]", `lesions[${name}]`) });
    const block = { ...this.page.new_lesion, id: name, lesion: name, items: this.page.new_lesion.items.map(rename) };
    this.added.push(block);
    const drawn = this.block(block);
    this.lesions.append(drawn);
    drawn.querySelector("input, select").focus();
  }

  block(block) {
    const parts = [];
    if (block.title) parts.push(el("h2", {}, block.title));
    if (block.seen) parts.push(el("p", { class: "seen" }, block.seen));
    if (block.known && block.known.length) parts.push(el("p", { class: "known" }, block.known.join(this.text("semicolon"))));
    parts.push(...block.items.map((item) => this.question(item)));
    return el("section", { class: "block", "data-block": block.id }, ...parts);
  }

  question(item) {
    const id = `q${counter += 1}`;
    const about = [];
    const parts = [el("legend", {}, item.text)];
    if (item.why) {
      about.push(`${id}w`);
      const head = this.text(item.decides ? "why" : "why_helps");
      parts.push(el("p", { class: "why", id: `${id}w` }, `${head}${this.text("colon")}${item.why}`));
    } else if (item.rules && item.rules.length) {
      about.push(`${id}w`);
      const head = this.text(item.decides ? "why" : "why_helps");
      parts.push(el("p", { class: "why", id: `${id}w` }, `${head}${this.text("colon")}${item.rules.join(", ")}`));
    }
    if (item.note) {
      about.push(`${id}n`);
      const note = el("p", { class: "note", id: `${id}n` }, item.note);
      if (item.again) {
        const again = el("button", { type: "button", class: "quiet" }, item.again.label);
        again.addEventListener("click", () => this.put(item, item.again.value));
        note.append(again);
      }
      parts.push(note);
    }
    const fault = el("p", { class: "fault", id: `${id}f`, role: "alert", hidden: true });
    about.push(`${id}f`);
    const field = el("fieldset", { "data-item": item.item, "aria-describedby": about.join(" ") }, ...parts,
      this.answerOf(item, id), fault);
    return field;
  }

  // --- ways to answer ---

  answerOf(item, id) {
    const choices = this.choices(item);
    if (item.places) return this.place(item, id, choices);
    if (choices) return choices.length > MOST_RADIOS + 5 ? this.list(item, id, choices) : this.radios(item, id, choices);
    return this.entry(item, id);
  }

  choices(item) {
    if (item.kind === "yes-no") return [["yes", this.text("yes"), true], ["no", this.text("no"), false]];
    if (item.kind === "score") return item.options.map((one) => [one.code, one.label, Number(one.code)]);
    return item.options ? item.options.map((one) => [one.code, one.label, one.code]) : null;
  }

  radios(item, id, choices) {
    const value = this.answers.get(item.item);
    const long = choices.some(([, label]) => label.replace(/[^\x00-\x7f]/g, "  ").length > 24);
    const labels = [...choices, [UNKNOWN, this.text("unknown"), null]].map(([code, label, means]) => {
      const chosen = this.answers.has(item.item) && value === means;
      const input = el("input", { type: "radio", name: id, value: code, checked: chosen });
      input.addEventListener("change", () => this.set(item, means));
      return el("label", {}, input, label);
    });
    const group = el("div", { class: long ? "choices long" : "choices" }, ...labels);
    if (item.kind !== "span") return el("div", {}, group, this.clearing(item, id));
    return el("div", {}, group, this.months(item, id), this.clearing(item, id));
  }

  clearing(item, id) {
    const clear = el("button", { type: "button", class: "quiet", "aria-label": `${this.text("clear")}${this.text("colon")}${item.label}`,
      hidden: !this.answers.has(item.item), id: `${id}c` }, this.text("clear"));
    clear.addEventListener("click", () => this.put(item, undefined));
    return clear;
  }

  list(item, id, choices) {
    const value = this.answers.get(item.item);
    const options = choices.map(([code, label]) => el("option", { value: code, selected: value === code }, label));
    const unknown = this.answers.has(item.item) && value === null;
    const select = el("select", { id: `${id}s`, "aria-label": item.text }, el("option", { value: "" }, "—"), ...options,
      el("option", { value: UNKNOWN, selected: unknown }, this.text("unknown")));
    select.addEventListener("change", () => {
      if (select.value === "") this.set(item, undefined);
      else this.set(item, select.value === UNKNOWN ? null : select.value);
      this.point(item);
    });
    return el("div", { class: "entry" }, select);
  }

  place(item, id, choices) {
    const parsed = new DOMParser().parseFromString(this.config.outline, "text/html"); // drawn by our own server
    const picture = document.importNode(parsed.querySelector("svg"), true);
    picture.setAttribute("role", "radiogroup");
    picture.setAttribute("aria-label", this.text("body"));
    const spots = [];
    for (const [code, label] of choices) {
      for (const { x, y, side } of this.config.spots[code] || []) {
        const name = side ? this.text("sided", { side: this.text(`${side}_side`), site: label }) : label;
        const spot = svg("g", { class: "spot", role: "radio", "data-code": code, "data-side": side, "data-y": y, "aria-label": name });
        const title = svg("title");
        title.textContent = name;
        spot.append(svg("circle", { cx: x, cy: y, r: REACH }), title);
        spot.addEventListener("click", () => this.choose(item, spot));
        spot.addEventListener("keydown", (event) => this.walk(event, item, spots, spot));
        spots.push(spot);
      }
    }
    spots.sort((a, b) => a.dataset.y - b.dataset.y);
    picture.append(...spots);
    const list = this.list(item, id, choices);
    const field = el("div", { class: "places" }, picture,
      el("div", {}, el("p", { class: "why" }, this.text("body_hint")), list, el("p", { class: "place-name", "aria-live": "polite" })));
    this.mark(field, item);
    return field;
  }

  // Pointing at one of two bones tells the side as well.
  choose(item, spot) {
    const side = this.sideOf(item);
    if (side && !this.saved.has(side.item)) this.put(side, spot.dataset.side || undefined);
    this.put(item, spot.dataset.code);
  }

  sideOf(item) {
    const link = item.item.replace(/\.site$/, ".side");
    return [...this.page.blocks, ...this.added].flatMap((block) => block.items).find((one) => one.item === link) || null;
  }

  walk(event, item, spots, spot) {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.choose(item, spot);
    } else if (step) {
      event.preventDefault();
      spots[(spots.indexOf(spot) + step + spots.length) % spots.length].focus();
    }
  }

  // Shows on the outline what the list says.
  point(item) {
    const field = this.root.querySelector(`[data-item="${CSS.escape(item.item)}"]`);
    if (field) this.mark(field, item);
  }

  mark(field, item) {
    const value = this.answers.get(item.item);
    const spots = [...field.querySelectorAll(".spot")];
    if (!spots.length) return;
    const side = this.sideOf(item);
    const told = side ? this.answers.get(side.item) : undefined;
    const mine = spots.filter((spot) => spot.dataset.code === value);
    const chosen = mine.find((spot) => spot.dataset.side === told) || (mine.length === 1 ? mine[0] : undefined);
    for (const spot of spots) {
      spot.setAttribute("aria-checked", String(spot === chosen));
      spot.setAttribute("tabindex", spot === (chosen || spots[0]) ? "0" : "-1");
    }
    const name = field.querySelector(".place-name");
    const option = (item.options || []).find((one) => one.code === value);
    if (name) name.textContent = option ? option.label : "";
  }

  entry(item, id) {
    const value = this.answers.get(item.item);
    const unknown = this.answers.has(item.item) && value === null;
    const date = item.kind === "date";
    const input = el("input", {
      id: `${id}i`, type: date ? "date" : "number", "aria-label": item.text, "aria-describedby": `${id}f`,
      value: value ?? null, max: date ? this.page.day : item.high, min: date ? null : item.low,
      step: item.kind === "number" ? "any" : "1", inputmode: date ? null : item.kind === "number" ? "decimal" : "numeric",
    });
    const box = el("input", { type: "checkbox", id: `${id}u`, checked: unknown });
    input.addEventListener("input", () => {
      box.checked = false;
      this.typed(item, input, `${id}f`);
    });
    box.addEventListener("change", () => {
      input.value = "";
      this.fault(`${id}f`, item, "");
      this.set(item, box.checked ? null : undefined);
    });
    return el("div", { class: "entry" }, input, date || !item.unit ? null : el("span", {}, item.unit),
      el("label", {}, box, this.text("unknown")));
  }

  typed(item, input, faultId) {
    let wrong = "";
    if (input.value === "" && !input.validity.badInput) {
      this.fault(faultId, item, "");
      this.set(item, undefined);
      return;
    }
    if (item.kind === "date") {
      if (!/^\d{4}-\d{2}-\d{2}$/.test(input.value) || input.value > this.page.day) wrong = this.text("future_day");
    } else {
      const number = Number(input.value);
      const whole = item.kind === "count";
      if (input.validity.badInput || number < item.low || number > item.high || (whole && !Number.isInteger(number))) {
        wrong = this.text(whole ? "whole_number" : "out_of_range", { low: item.low, high: item.high });
      }
    }
    this.fault(faultId, item, wrong, input);
    this.set(item, wrong ? undefined : item.kind === "date" ? input.value : Number(input.value));
  }

  months(item, id) {
    const value = this.answers.get(item.item);
    const own = value && typeof value === "object" ? value : {};
    const make = (end) => el("input", { type: "number", min: 0, max: 600, step: "any", inputmode: "decimal",
      value: own[end] ?? null, "aria-label": this.text(`span_${end}`), "aria-describedby": `${id}f` });
    const [low, high] = [make("low"), make("high")];
    const change = () => {
      for (const radio of this.root.querySelectorAll(`input[name="${id}"]`)) radio.checked = false;
      const ends = { low: low.value === "" ? null : Number(low.value), high: high.value === "" ? null : Number(high.value) };
      const bad = [ends.low, ends.high].some((end) => end !== null && (end < 0 || end > 600));
      const wrong = bad ? this.text("out_of_range", { low: 0, high: 600 })
        : ends.low !== null && ends.high !== null && ends.low > ends.high ? this.text("bad_span") : "";
      this.fault(`${id}f`, item, wrong, low);
      const empty = ends.low === null && ends.high === null;
      this.set(item, wrong || empty ? undefined : ends);
    };
    low.addEventListener("input", change);
    high.addEventListener("input", change);
    return el("div", { class: "entry" }, el("span", {}, this.text("span_own")), low, el("span", { "aria-hidden": "true" }, "–"), high);
  }

  fault(id, item, text, input = null) {
    const place = document.getElementById(id);
    place.textContent = text;
    place.hidden = !text;
    if (input) input.setAttribute("aria-invalid", String(Boolean(text)));
    if (text) this.faults.set(item.item, text);
    else this.faults.delete(item.item);
  }

  // --- the answers ---

  // Takes an answer that the person did not type into the field itself, and redraws the field.
  put(item, value) {
    if (this.saved.has(item.item)) return;
    this.set(item, value);
    const field = this.root.querySelector(`[data-item="${CSS.escape(item.item)}"]`);
    const drawn = this.question(item);
    field.replaceWith(drawn);
    const wanted = drawn.querySelector('.spot[aria-checked="true"], input:checked, input[type="number"], input[type="date"]');
    if (wanted) wanted.focus();
    if (drawn.querySelector(".spot")) this.mark(drawn, item);
  }

  set(item, value) {
    if (value === undefined) this.answers.delete(item.item);
    else this.answers.set(item.item, value);
    const field = this.root.querySelector(`[data-item="${CSS.escape(item.item)}"]`);
    const clear = field && field.querySelector("button[id$='c']");
    if (clear) clear.hidden = value === undefined;
    if (item.item.endsWith(".side")) this.markPlaces(item.item.replace(/\.side$/, ".site"));
    const entry = field && field.querySelector(".entry input[type='number']");
    if (entry && item.kind === "span" && (value === null || typeof value === "string")) {
      for (const input of field.querySelectorAll(".entry input")) input.value = "";
    }
    this.onChange();
  }

  // The outline shows the side too.
  markPlaces(link) {
    const site = [...this.page.blocks, ...this.added].flatMap((block) => block.items).find((one) => one.item === link);
    if (site) this.point(site);
  }

  given(only = () => true) {
    return [...this.answers].filter(([item]) => only(item)).map(([item, value]) => ({ item, value }));
  }

  unsaved() {
    return this.given((item) => !this.saved.has(item));
  }

  lock(item) {
    this.saved.add(item);
    const field = this.root.querySelector(`[data-item="${CSS.escape(item)}"]`);
    if (!field) return;
    // A lesion that is new is saved as one entry: what is left open there would become a second lesion.
    const fields = item.startsWith("lesions[new-") ? field.closest(".block").querySelectorAll("fieldset") : [field];
    for (const one of fields) {
      one.disabled = true;
      one.classList.add("locked");
    }
    const block = field.closest(".block");
    const after = item.startsWith("lesions[new-") ? block : field;
    if (after.parentElement.querySelector(`[data-correct="${CSS.escape(item)}"]`)) return;
    const again = el("button", { type: "button", class: "quiet" }, this.text("correct"));
    const line = el("p", { class: "correct", "data-correct": item }, `${this.text("saved_answer")} `, again);
    again.addEventListener("click", () => {
      this.unlock(item, fields);
      line.remove();
    });
    after.after(line);
  }

  // Lets a saved answer be changed: saving it again writes a new entry, and marks the old one as an error.
  unlock(item, fields) {
    const block = item.startsWith("lesions[") ? item.slice(0, item.indexOf("]") + 1) : null;
    for (const one of [...this.saved]) if (one === item || (block && one.startsWith(block))) this.saved.delete(one);
    for (const one of fields) {
      one.disabled = false;
      one.classList.remove("locked");
    }
    this.onChange();
  }
}
