// The prompts of earlier pictures, to search and take up again. Words are only ever set as textContent.
"use strict";

window.paintdiff.promptHistory = (() => {
  const PAUSE_MS = 250;
  const TAG = "favourite prompt";
  const CLOCK = "M10 5v5l3.5 2M10 2.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15";
  const STAR = "M10 2.6l2.3 4.7 5.2.8-3.8 3.6.9 5.2-4.6-2.5-4.6 2.5.9-5.2L2.5 8.1l5.2-.8z";
  const { messages, promptBox, promptCheck } = window.paintdiff;
  let dialog = null;
  let box = null;  // where the chosen prompt goes
  let request = null;
  let timer = 0;

  function make(kind, className, text = "") {
    const element = document.createElement(kind);
    element.className = className;
    element.textContent = text;
    return element;
  }

  function icon(path) {
    const [svg, line] = ["svg", "path"].map((name) => document.createElementNS("http://www.w3.org/2000/svg", name));
    svg.setAttribute("viewBox", "0 0 20 20");
    svg.setAttribute("aria-hidden", "true");
    line.setAttribute("d", path);
    svg.append(line);
    return svg;
  }

  function button(className, label, act) {
    const element = make("button", className, label);
    element.type = "button";
    element.addEventListener("click", act);
    return element;
  }

  // A prompt box that has come into the page gets its button.
  function attach(target) {
    const { line } = promptCheck.partsOf(target);
    if (promptBox.isNegative(target) || line.querySelector(".prompt-earlier")) return;
    const opener = button("prompt-earlier", "", () => show(target));
    opener.append(icon(CLOCK), make("span", "", messages.EARLIER_PROMPTS));
    line.prepend(opener);
  }

  function build() {
    const made = make("dialog", "prompt-history");
    made.setAttribute("aria-label", messages.EARLIER_PROMPTS);
    const search = make("input", "");
    Object.assign(search, { type: "search", maxLength: 500, placeholder: messages.SEARCH_PROMPTS });
    search.setAttribute("aria-label", messages.SEARCH_PROMPTS);
    search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => load(), PAUSE_MS);
    });
    const only = make("label", "");
    const check = make("input", "");
    check.type = "checkbox";
    check.addEventListener("change", () => load());
    only.append(check, messages.FAVOURITES_ONLY);
    const head = make("header", "");
    head.append(make("h2", "", messages.EARLIER_PROMPTS), button("close", messages.CLOSE, () => made.close()));
    const filters = make("div", "filters");
    filters.append(search, only);
    const said = make("p", "said");
    said.setAttribute("role", "status");
    const list = make("ul", "");
    const more = button("more", messages.MORE_PROMPTS, () => load(more.dataset.cursor));
    more.hidden = true;
    made.append(head, filters, said, list, more);
    made.addEventListener("click", (event) => { if (event.target === made) made.close(); });
    made.addEventListener("close", () => { request?.abort(); box?.focus(); });
    document.body.append(made);
    return { made, search, check, said, list, more };
  }

  function show(target) {
    dialog ??= build();
    box = target;
    dialog.search.value = "";
    dialog.made.showModal();
    dialog.search.focus();
    load();
  }

  async function load(cursor = "") {
    const { search, check, said, list, more } = dialog;
    request?.abort();
    const mine = new AbortController();
    request = mine;
    const words = search.value.trim();
    const query = new URLSearchParams({ search: words, favourites: String(check.checked), cursor });
    try {
      const answer = await fetch(`prompts/history?${query}`, { cache: "no-store", signal: mine.signal });
      if (!answer.ok) throw new Error(String(answer.status));
      const found = await answer.json();
      if (request !== mine) return;
      if (!cursor) list.replaceChildren();
      const known = new Set([...list.children].map((each) => each.dataset.key));
      const items = found.prompts.map(item).filter((each) => !known.has(each.dataset.key));
      list.append(...items);
      more.hidden = !found.next;
      more.dataset.cursor = found.next ?? "";
      const isAll = !words && !check.checked;
      said.textContent = list.children.length > 0 ? "" : isAll ? messages.NO_PROMPTS_YET : messages.NO_PROMPTS_FOUND;
    } catch {
      if (request !== mine) return;
      said.textContent = messages.PROMPTS_NOT_READ;
    }
  }

  function item({ prompt, negative_prompt: negative, newest, marked }) {
    const place = make("li", "");
    place.dataset.key = JSON.stringify([prompt, negative]);
    const words = button("words", prompt, () => take(prompt, negative));
    if (negative) words.append(make("small", "", messages.avoiding(negative)));
    const star = button("star", "", () => mark(star));
    star.append(icon(STAR));
    star.setAttribute("aria-label", messages.favourite(prompt.slice(0, 80)));
    star.setAttribute("aria-pressed", String(marked.length > 0));
    star.dataset.ids = JSON.stringify(marked.length > 0 ? marked : [newest]);
    place.append(words, star);
    return place;
  }

  function take(prompt, negative) {
    dialog.made.close();
    const tab = promptBox.tabOf(box);
    const other = promptBox.inTab(tab).find((each) => promptBox.isNegative(each));
    if (negative && other) promptBox.replace(other, 0, other.value.length, negative);
    promptBox.replace(box, 0, box.value.length, prompt);
  }

  async function mark(star) {
    const isMarked = star.getAttribute("aria-pressed") === "true";
    const body = JSON.stringify({ ids: JSON.parse(star.dataset.ids).slice(0, 500), change: isMarked ? "untag" : "tag", value: TAG });
    star.disabled = true;
    try {
      const headers = { "Content-Type": "application/json" };
      const answer = await fetch("gallery/changes", { method: "POST", body, headers });
      if (!answer.ok) throw new Error(String(answer.status));
      star.setAttribute("aria-pressed", String(!isMarked));
      dialog.said.textContent = "";
    } catch {
      dialog.said.textContent = messages.FAVOURITE_NOT_KEPT;
    } finally {
      star.disabled = false;
    }
  }

  return { attach };
})();
