// What a change did to the cards: new, changed, no longer shown. Cards are the same that are led by the same rule.
"use strict";

export function known(result) {
  const found = [...result.querySelectorAll(".card")].map((card) => ({
    lead: card.dataset.lead, text: card.dataset.text, summary: card.querySelector("h3").textContent.trim(),
  }));
  return result.querySelector(".refused") ? null : found;
}

function flag(card, kind, words) {
  card.classList.add(`mark-${kind}`);
  const said = document.createElement("span");
  said.className = "flag";
  said.textContent = words[`diff_${kind}`];
  card.querySelector("h3").append(said);
}

export function mark(result, before, words) {
  if (!before || result.querySelector(".refused")) return;
  const left = [...before];
  let moved = 0;
  for (const card of result.querySelectorAll(".card")) {
    const at = left.findIndex((one) => one.lead === card.dataset.lead);
    const one = at < 0 ? null : left.splice(at, 1)[0];
    if (one && one.text === card.dataset.text) continue;
    moved += 1;
    flag(card, one ? "changed" : "new", words);
  }
  const place = result.querySelector("#gone");
  if (!left.length && !moved) place.textContent = words.diff_none;
  if (left.length) {
    const lines = left.map((one) => {
      const line = document.createElement("p");
      const struck = document.createElement("s");
      struck.textContent = one.summary;
      line.append(struck);
      return line;
    });
    place.replaceChildren(`${words.diff_gone}${words.colon}`, ...lines);
  }
}
