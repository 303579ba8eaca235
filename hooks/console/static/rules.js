// Filters the catalogue as you type.
"use strict";
const search = document.getElementById("search");
const count = document.getElementById("count");
const entries = [...document.querySelectorAll(".entry")];
function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const entry of entries) {
    const hit = words.every((word) => entry.dataset.text.includes(word));
    entry.hidden = !hit;
    shown += hit ? 1 : 0;
  }
  for (const topic of document.querySelectorAll(".topic")) {
    topic.hidden = !topic.querySelector(".entry:not([hidden])");
  }
  count.textContent = `${shown} ${count.dataset.words}`;
}
search.addEventListener("input", filter);
filter();
