// Completes what is typed into a prompt. All texts are fetched once and searched here. A textarea may not have the role
// combobox, so it stays a text box that names its list and the active option.
"use strict";

window.paintdiff.promptComplete = (() => {
  const MOST_SHOWN = 30;
  const LEAST_CHARACTERS = 2;
  const LEAST_INSIDE = 3;  // so many for words that only contain them
  const FRESH_MS = 60000;
  const LIST_PX = 240;
  const LEAST_PX = 96;
  const GAP_PX = 4;
  const TAG_KIND = "tag";
  const { messages, promptBox, promptCheck } = window.paintdiff;
  const fetched = new Map();  // by address: when, and a promise of what came
  let open = null;  // the box, the list, its options, the active one, and the part of the text that they replace

  async function get(address, freshMs) {
    const known = fetched.get(address);
    if (known && performance.now() - known.when < freshMs) return known.content;
    const content = fetch(address).then((answer) => (answer.ok ? answer.json() : null)).catch(() => null);
    fetched.set(address, { when: performance.now(), content });
    const came = await content;
    if (came === null) fetched.delete(address);
    return came ?? known?.content ?? null;
  }

  // The sources for the model of a box: kinds with what opens them, and entries with their names in small letters.
  const prepared = new WeakMap();
  async function sourcesOf(box) {
    const [listed, tags] = await Promise.all([
      get(`prompts/completions?model=${encodeURIComponent(promptCheck.modelOf(box))}`, FRESH_MS),
      get("prompts/tags", Infinity),
    ]);
    const sources = (listed?.kinds ?? []).map((each) => prepare(each, each.entries, each, (entry) => entry));
    if (tags?.tags.length) sources.push(prepare(tags, tags.tags, { kind: TAG_KIND, opener: "" }, asEntry));
    return { sources, problems: tags?.problems ?? [] };
  }

  // There may be 200,000 entries: each is read once, not for each key.
  function prepare(key, entries, { kind, opener }, read) {
    if (!prepared.has(key)) {
      const made = entries.map(read).map(([name, insert, detail, ...aliases]) => (
        { kind, name, insert, detail, keys: [name, ...aliases].map(simple) }
      ));
      prepared.set(key, { kind, opener, entries: made });
    }
    return prepared.get(key);
  }

  // A tag's underscores are spaces in a prompt, and its brackets are text.
  function asEntry([name, number, ...aliases]) {
    const words = name.replaceAll("_", " ").replace(/[()[\]\\]/g, "\\$&");
    return [name.replaceAll("_", " "), `${words}, `, number || "", ...aliases];
  }

  function simple(text) {
    return text.toLowerCase().replaceAll("_", " ").trim();
  }

  // What stands before the caret: behind what opens a kind, else the words since the last comma, and the last word.
  function typedIn(box, sources) {
    const at = box.selectionStart;
    if (at !== box.selectionEnd || /^[^\s,)\]}>|:]/.test(box.value.slice(at))) return [];
    const before = box.value.slice(0, at);
    for (const { opener, entries } of sources) {
      const place = opener ? before.lastIndexOf(opener) : -1;
      const text = before.slice(place + opener.length);
      const isClosed = entries[0]?.insert.endsWith(opener) && before.split(opener).length % 2 === 1;
      if (place < 0 || isClosed || /[\n,<>()]/.test(text)) continue;
      return [{ opener, start: place, end: at, text: text.replace(/^\w*:/, "") }];
    }
    const phrase = /[^\n,<>()[\]{}|:\\]*$/.exec(before)[0].trimStart();
    const word = /\S*$/.exec(phrase)[0];
    return [phrase, word].filter((text, index, all) => text.length >= LEAST_CHARACTERS && all.indexOf(text) === index)
      .map((text) => ({ opener: "", start: at - text.length, end: at, text }));
  }

  function find(sources, typed) {
    const found = [];
    const seen = new Set();
    const add = (entry, part) => {
      const id = `${entry.kind} ${entry.name}`;
      if (seen.has(id) || entry.insert.trim() === part.text) return;
      seen.add(id);
      found.push({ entry, part });
    };
    for (const matches of [(key, text) => key.startsWith(text), (key, text) => text.length >= LEAST_INSIDE && key.includes(text)]) {
      for (const part of typed) {
        const text = simple(part.text);
        if (!text && !part.opener) continue;
        for (const { opener, entries } of sources) {
          if (part.opener && opener !== part.opener) continue;
          for (const entry of entries) {
            if (found.length >= MOST_SHOWN) return found;
            if (entry.keys.some((key) => matches(key, text))) add(entry, part);
          }
        }
      }
    }
    return found;
  }

  let turn = 0;
  async function suggest(box) {
    turn += 1;
    const mine = turn;
    const { sources, problems } = await sourcesOf(box);
    if (mine !== turn || document.activeElement !== box) return;
    const found = find(sources, typedIn(box, sources));
    if (found.length === 0) return close();
    show(box, found, problems);
  }

  function make(kind, className, text = "") {
    const element = document.createElement(kind);
    element.className = className;
    element.textContent = text;
    return element;
  }

  function show(box, found, problems) {
    close();
    const list = make("ul", "prompt-options");
    list.id = "prompt-options";
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", messages.SUGGESTIONS);
    const options = found.map(({ entry }, index) => {
      const option = make("li", "");
      option.id = `prompt-option-${index}`;
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", "false");
      option.append(make("span", "name", entry.name), make("span", "detail", entry.detail.toLocaleString("en")), make("span", "kind", entry.kind));
      return option;
    });
    list.append(...options);
    if (problems.length > 0) {
      const note = make("li", "problems", messages.tagProblems(problems.length, problems[0]));
      note.title = problems.join("\n");
      note.setAttribute("role", "option");
      note.setAttribute("aria-disabled", "true");
      list.append(note);
    }
    list.addEventListener("pointerdown", (event) => event.preventDefault());  // the box keeps the focus
    list.addEventListener("click", (event) => {
      const index = options.indexOf(event.target.closest("li"));
      if (index >= 0) accept(index);
    });
    (box.closest("main") ?? document.body).append(list);  // all that is shown lies in a landmark
    open = { box, list, options, found, active: -1 };
    box.setAttribute("aria-autocomplete", "list");
    box.setAttribute("aria-haspopup", "listbox");
    box.setAttribute("aria-controls", list.id);
    place();
  }

  // Below the caret's line, or above it where Generate would be covered.
  function place() {
    const { box, list, found } = open;
    const caret = promptCheck.caretOf(box, found[0].part.start);
    const view = window.visualViewport;
    const [top, bottom] = [view.offsetTop, view.offsetTop + view.height];
    const generate = box.closest(".tab-content")?.querySelector(".generate")?.getBoundingClientRect();
    const limit = generate && generate.height > 0 && generate.top >= caret.bottom ? Math.min(bottom, generate.top) : bottom;
    const below = limit - caret.bottom - 2 * GAP_PX;
    const above = caret.top - top - 2 * GAP_PX;
    const height = Math.min(LIST_PX, list.scrollHeight + 2);
    const isBelow = below >= Math.min(height, LEAST_PX) || below >= above;
    list.style.maxHeight = `${Math.max(LEAST_PX / 2, Math.min(height, isBelow ? below : above))}px`;
    const width = list.offsetWidth;
    list.style.left = `${Math.max(GAP_PX, Math.min(caret.left, view.width - width - GAP_PX))}px`;
    list.style.top = `${isBelow ? caret.bottom + GAP_PX : caret.top - GAP_PX - list.offsetHeight}px`;
  }

  function close() {
    if (!open) return;
    open.list.remove();
    for (const name of ["aria-activedescendant", "aria-controls"]) open.box.removeAttribute(name);
    open = null;
  }

  function activate(index) {
    const { box, options } = open;
    options[open.active]?.setAttribute("aria-selected", "false");
    open.active = (index + options.length) % options.length;
    const option = options[open.active];
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({ block: "nearest" });
    box.setAttribute("aria-activedescendant", option.id);
  }

  function accept(index) {
    const { box, found } = open;
    const { entry, part } = found[index];
    close();
    const isSeparated = /^\s*[,)\]]/.test(box.value.slice(part.end));
    promptBox.replace(box, part.start, part.end, isSeparated ? entry.insert.replace(/, $/, "") : entry.insert);
  }

  const KEYS = {
    ArrowDown: () => activate(open.active + 1),
    ArrowUp: () => activate(open.active < 0 ? -1 : open.active - 1),
    Tab: () => accept(Math.max(0, open.active)),
    Escape: close,
  };
  // Before all other listeners: Escape would stop the run.
  window.addEventListener("keydown", (event) => {
    if (!open || event.target !== open.box || event.isComposing || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) {
      return;
    }
    const isChosen = event.key === "Enter" && open.active >= 0;
    const act = isChosen ? () => accept(open.active) : KEYS[event.key];
    if (!act) {
      if (!/^.$|^Backspace$|^Shift$/u.test(event.key)) close();
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
    act();
  }, true);

  document.addEventListener("input", (event) => {
    const box = promptBox.of(event.target);
    if (!box) return;
    const isTyped = event.isTrusted && !promptBox.isWriting() && !/^(insertFromPaste|insertFromDrop|history)/.test(event.inputType);
    if (isTyped) return suggest(box);
    turn += 1;
    close();
  }, true);
  document.addEventListener("focusin", (event) => {
    const box = promptBox.of(event.target);
    if (box) sourcesOf(box);  // so that the first letter needn't wait
  });
  document.addEventListener("focusout", close);
  document.addEventListener("pointerdown", (event) => {
    if (open && !open.list.contains(event.target) && event.target !== open.box) close();
  }, true);
  for (const name of ["resize", "scroll"]) {
    window.addEventListener(name, (event) => { if (open && event.target !== open.list) close(); }, true);
  }

  return { close };
})();
