// Feedback on one firing's cards. A card is answered once: accepted or overridden, never both.
"use strict";

function settle(card, accepted) {
  const any = card.dataset.behavior === "any";
  card.dataset.settled = accepted ? "accepted" : "overridden";
  for (const one of card.querySelectorAll(".override-button, .override select, .override input")) one.disabled = true;
  for (const one of card.querySelectorAll(".accept")) {
    if (!accepted || !any || one.classList.contains("chosen")) one.disabled = true;
  }
}

export function listen(result, { base, words, reason }) {
  async function send(card, button, entry, told) {
    const shown = card.querySelector(".feedback");
    const controls = [...card.querySelectorAll("button, select, input")].filter((one) => !one.disabled);
    controls.forEach((one) => { one.disabled = true; }); // until the reply is there, nothing else can be answered
    let fault = "";
    try {
      const answer = await fetch(`${base}/cds-services/${encodeURIComponent(result.dataset.service)}/feedback`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ feedback: [{ card: card.dataset.uuid, outcomeTimestamp: new Date().toISOString(), ...entry }] }),
      });
      if (!answer.ok) fault = `${words.feedback_failed} (${answer.status})${words.colon}${await reason(answer)}`;
    } catch {
      fault = words.unreachable;
    }
    controls.forEach((one) => { one.disabled = false; });
    if (!fault) {
      button.classList.add("chosen");
      settle(card, entry.outcome === "accepted");
    }
    shown.textContent = fault || `${told} ${words.undo_feedback}`;
    shown.classList.toggle("bad", Boolean(fault));
  }

  result.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const card = button && button.closest(".card");
    if (!card) return;
    if (button.classList.contains("accept")) {
      const chosen = [...card.querySelectorAll(".accept.chosen"), button].map((one) => ({ id: one.dataset.suggestion }));
      send(card, button, { outcome: "accepted", acceptedSuggestions: chosen }, words.accepted);
    } else if (button.classList.contains("override-button")) {
      const choice = card.querySelector(".override select");
      const picked = choice && choice.value ? choice.selectedOptions[0] : null;
      const comment = card.querySelector(".comment").value.trim();
      const entry = { outcome: "overridden" };
      if (picked || comment) entry.overrideReason = {};
      if (picked) entry.overrideReason.reason = { code: picked.value, system: picked.dataset.system };
      if (comment) entry.overrideReason.userComment = comment;
      send(card, button, entry, words.overridden);
    }
  });
}
