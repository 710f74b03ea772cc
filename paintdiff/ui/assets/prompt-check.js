// Below each prompt: how long it is for the chosen model, what is wrong with it, and what the model doesn't know. The
// server reads it whenever typing pauses; nothing waits for its answer. Words are only ever set as textContent.
"use strict";

window.paintdiff.promptCheck = (() => {
  const PAUSE_MS = 350;
  const TIMEOUT_MS = 20000;
  const MOST_MISTAKES = 2;
  const MOST_SUGGESTIONS = 3;
  const MOST_CHARACTERS = 10000;
  const boxes = new WeakMap();  // by box: its parts, the timer, the question that is asked, and the last answer
  const { messages, promptBox } = window.paintdiff;
  let count = 0;

  function stateOf(box) {
    if (!boxes.has(box)) boxes.set(box, { asked: "", text: null, answer: null, parts: null, timer: 0, request: null });
    const state = boxes.get(box);
    if (!state.parts?.line.isConnected) {
      state.parts?.paper.remove();
      state.parts = build(box);
    }
    return state;
  }

  function make(kind, className, text = "") {
    const element = document.createElement(kind);
    element.className = className;
    element.textContent = text;
    return element;
  }

  function build(box) {
    count += 1;
    const help = make("div", "prompt-help");
    const line = make("div", "prompt-line");
    const tokens = make("p", "prompt-tokens");
    const list = make("div", "prompt-list");
    tokens.id = `prompt-tokens-${count}`;
    list.setAttribute("role", "status");
    line.append(tokens);
    help.append(line, list);
    box.closest(".block").after(help);
    box.setAttribute("aria-describedby", tokens.id);
    const paper = make("div", "prompt-paper");
    box.dir = paper.dir = "auto"; // right to left where the prompt is
    paper.setAttribute("aria-hidden", "true");
    paper.append(make("div", "prompt-ink"));
    box.after(paper);
    new ResizeObserver(() => fit(box, paper)).observe(box);
    box.addEventListener("scroll", () => fit(box, paper));
    return { help, line, tokens, list, paper };
  }

  // The paper lies over the box, with the same text in the same places.
  const COPIED = [
    "fontFamily", "fontSize", "fontWeight", "lineHeight", "letterSpacing", "wordSpacing", "textIndent", "tabSize",
    "paddingTop", "paddingRight", "paddingBottom", "paddingLeft",
  ];
  function fit(box, paper) {
    if (box.clientWidth === 0) return;
    const style = getComputedStyle(box);
    const ink = paper.firstChild;
    for (const name of COPIED) ink.style[name] = style[name];
    const [top, left] = [box.offsetTop + box.clientTop, box.offsetLeft + box.clientLeft];
    Object.assign(paper.style, {
      top: `${top}px`, left: `${left}px`, width: `${box.clientWidth}px`, height: `${box.clientHeight}px`,
    });
    ink.style.transform = `translateY(${-box.scrollTop}px)`;
  }

  // What the person has chosen beside the prompt. The page keeps it after each change.
  function settingsOf(tab) {
    try {
      return JSON.parse(sessionStorage.getItem(`paintdiff.${tab}.settings`)) ?? {};
    } catch {
      return {};
    }
  }

  function question(box) {
    const { num_inference_steps: steps, prompt_language: language } = settingsOf(promptBox.tabOf(box));
    const number = Number(steps);
    return {
      text: (box.value.toWellFormed?.() ?? box.value).slice(0, MOST_CHARACTERS),
      model: modelOf(box),
      negative: promptBox.isNegative(box),
      syntax: language === "plain" ? "plain" : "a1111",
      steps: Number.isInteger(number) && number >= 1 && number <= 1000 ? number : 20,
    };
  }

  function later(box, pause = PAUSE_MS) {
    const state = stateOf(box);
    keepPlaces(box, state);
    draw(box, state);
    clearTimeout(state.timer);
    state.timer = setTimeout(() => ask(box, state), pause);
  }

  async function ask(box, state) {
    if (!box.isConnected) return;
    const asked = JSON.stringify(question(box));
    if (asked === state.asked) {
      if (state.answer && state.text === box.value) list(box, state);  // its last word may count now
      return;
    }
    state.request?.abort();
    const request = new AbortController();
    state.request = request;
    state.asked = asked;
    const text = box.value;
    if (!text.trim()) return show(box, state, text, null);
    try {
      const signal = AbortSignal.any([request.signal, AbortSignal.timeout(TIMEOUT_MS)]);
      const headers = { "Content-Type": "application/json" };
      const answer = await fetch("prompts/check", { method: "POST", body: asked, headers, signal });
      if (!answer.ok) throw new Error(String(answer.status));
      const found = await answer.json();
      if (state.request === request) show(box, state, text, found);
    } catch {
      if (state.request !== request) return;
      state.asked = "";  // the status bar says whether the app responds; the next pause asks again
      show(box, state, text, null);
    }
  }

  function show(box, state, text, answer) {
    state.text = text;
    state.answer = answer;
    keepPlaces(box, state);
    draw(box, state);
    list(box, state);
  }

  // Until the next answer, marks move along with their words, and those on what was changed go.
  function keepPlaces(box, state) {
    const [before, now] = [state.text, box.value];
    if (before === null || before === now || !state.answer) return;
    let same = 0;
    while (same < before.length && same < now.length && before[same] === now[same]) same += 1;
    let behind = 0;
    const most = Math.min(before.length, now.length) - same;
    while (behind < most && before.at(-1 - behind) === now.at(-1 - behind)) behind += 1;
    const [from, to, moved] = [same, before.length - behind, now.length - before.length];
    state.answer.marks = state.answer.marks.flatMap((mark) => {
      if (mark.end <= from) return [mark];
      if (mark.start >= to) return [{ ...mark, start: mark.start + moved, end: mark.end + moved }];
      return [];
    });
    const borders = state.answer.count?.borders.flatMap((place) => (
      place <= from ? [place] : place >= to ? [place + moved] : []
    ));
    if (borders) state.answer.count.borders = borders;
    state.text = now;
  }

  // A word that is still being typed isn't a mistake yet.
  function isBeingTyped(box, mark) {
    return mark.kind === "unknown" && document.activeElement === box && box.selectionStart === box.selectionEnd
      && box.selectionEnd === mark.end;
  }

  function marksOf(box, state) {
    return (state.answer?.marks ?? []).filter((mark) => !isBeingTyped(box, mark));
  }

  function draw(box, state) {
    const { paper } = state.parts;
    const text = box.value;
    const marks = marksOf(box, state);
    const borders = new Set(state.answer?.count?.borders ?? []);
    const places = [0, text.length, ...borders, ...marks.flatMap(({ start, end }) => [start, end])];
    const cuts = [...new Set(places)].filter((place) => place <= text.length).sort((a, b) => a - b);
    const ink = make("div", "prompt-ink");
    if (marks.length > 0 || borders.size > 0) {
      for (const [index, start] of cuts.entries()) {
        if (borders.has(start)) ink.append(make("i", "chunk-border"));
        const end = cuts[index + 1];
        if (end === undefined) continue;
        const mark = marks.find((each) => each.start <= start && end <= each.end);
        ink.append(mark ? make("span", `mark ${mark.kind}`, text.slice(start, end)) : text.slice(start, end));
      }
    }
    paper.replaceChildren(ink);
    fit(box, paper);
  }

  function chip(text, act) {
    const button = make("button", "", text);
    button.type = "button";
    button.addEventListener("click", act);
    return button;
  }

  // Words that are written from right to left stay between their quotation marks.
  function isolate(text) {
    const span = make("span", "");
    for (const [index, part] of text.split(/(?<=“)([^”]*)(?=”)/).entries()) span.append(index % 2 ? make("bdi", "", part) : part);
    return span;
  }

  function item(kind, text, chips, rest = "") {
    const place = make("div", `prompt-item ${kind}`);
    place.append(isolate(text), ...chips);
    if (rest) place.append(make("span", "", rest));
    return place;
  }

  // A button that replaces a part of the text, unless that has changed meanwhile.
  function replacing(box, { start, end }, text) {
    const before = box.value.slice(start, end);
    return chip(text, () => {
      if (box.value.slice(start, end) === before) promptBox.replace(box, start, end, text);
      later(box, 0);
    });
  }

  function list(box, state) {
    const { tokens, list: place } = state.parts;
    const { answer } = state;
    const { count: counted, notes = [], offer } = answer ?? {};
    tokens.textContent = counted ? messages.tokens(counted.tokens, counted.room, counted.chunks) : "";
    const marks = marksOf(box, state);
    const chipsOf = (mark) => mark.choices.map((each) => replacing(box, mark, each));
    const refused = new Set(notesOf(box, ".error").map((note) => note.textContent)); // what Generate has just said
    const mistakes = marks.filter(({ kind, message }) => kind === "mistake" && !refused.has(message));
    const ends = marks.filter(({ kind }) => kind === "unread");
    const spelt = marks.filter(({ kind, choices }) => kind === "unknown" && choices.length > 0);
    const isTooLong = box.value.length > MOST_CHARACTERS;
    const items = [
      ...(isTooLong ? [item("mistake", messages.promptTooLong(box.value.length, MOST_CHARACTERS), [])] : []),
      ...mistakes.slice(0, MOST_MISTAKES).map((mark) => item("mistake", mark.message, chipsOf(mark))),
      ...notes.map((note) => item("note-about", note, [])),
      ...ends.map((mark) => item("unread", mark.message, [])),
      ...spelt.slice(0, MOST_SUGGESTIONS).map((mark) => item("unknown", mark.message, chipsOf(mark))),
    ];
    if (mistakes.length > MOST_MISTAKES) items.push(item("mistake", messages.moreMistakes(mistakes.length - MOST_MISTAKES), []));
    const isLost = marks.some(({ kind, choices }) => kind === "unknown" && choices.length === 0);
    if (offer && isLost) {
      const chips = offer.texts.map((each) => replacing(box, { start: 0, end: box.value.length }, each));
      const place = item("offer", offer.message, chips);
      place.append(item("advice", offer.advice, [chip(messages.OPEN_MODELS, openModels)]));
      items.push(place);
    }
    const named = offer && isLost ? marks : spelt.slice(0, MOST_SUGGESTIONS);
    hideRepeated(box, named.map(({ start, end }) => box.value.slice(start, end)));
    const said = items.map((each) => each.textContent).join("\n");
    const isSame = place.dataset.said === said && place.dataset.text === box.value;
    if (isSame) return;  // else a reader would hear it again
    Object.assign(place.dataset, { said, text: box.value });
    place.replaceChildren(...items);
  }

  function notesOf(box, kind) {
    return [...box.closest(".studio")?.querySelectorAll(`[id$=note-prompt] .note${kind}`) ?? []];
  }

  // After a run its own sentences stand below the prompt. Those about words that are named here would say it twice.
  function hideRepeated(box, words) {
    const named = new Set(words.map((word) => word.normalize("NFC").toLowerCase()));
    for (const note of notesOf(box, "[data-words]")) {
      const about = note.dataset.words.split(" ").filter((word) => /\p{L}/u.test(word));
      const isRepeated = about.length > 0 && about.every((word) => named.has(word));
      note.hidden = isRepeated;
      for (const choices of note.parentElement.querySelectorAll(".note-choices")) choices.hidden = isRepeated;
    }
  }
  document.addEventListener("paintdiff-noted", ({ target }) => {
    for (const box of target.closest(".studio")?.querySelectorAll("textarea") ?? []) {
      const state = boxes.get(box);
      if (state && !promptBox.isNegative(box)) list(box, state);
    }
  });

  function openModels() {
    document.querySelector("#tabs [role=tab][data-tab-id=models]")?.click();
  }

  // Anything may have changed: the model, the language of prompts, or a prompt that was filled in.
  function refresh(tab) {
    for (const box of promptBox.inTab(tab)) {
      later(box);
      window.paintdiff.promptHistory.attach(box);
    }
  }

  document.addEventListener("input", (event) => {
    const box = promptBox.of(event.target);
    if (box) later(box);
  }, true);
  for (const name of ["focusin", "focusout"]) {
    document.addEventListener(name, (event) => {
      const box = promptBox.of(event.target);
      if (box) later(box);
    });
  }
  document.addEventListener("selectionchange", () => {
    const box = promptBox.of(document.activeElement);
    const state = box && boxes.get(box);
    if (!state?.answer) return;
    draw(box, state);
    if (state.text === box.value) list(box, state);
  });

  function modelOf(box) {
    return String(settingsOf(promptBox.tabOf(box)).model ?? "").slice(0, 200);
  }

  // Where on the screen a character of the text is.
  function caretOf(box, place) {
    const { paper } = stateOf(box).parts;
    const ink = make("div", "prompt-ink");
    const point = make("span", "", "\u200b");
    ink.append(box.value.slice(0, place), point, box.value.slice(place));
    const shown = paper.firstChild;
    shown.replaceWith(ink);
    fit(box, paper);
    const found = point.getBoundingClientRect();
    ink.replaceWith(shown);
    return found;
  }

  return { refresh, modelOf, caretOf, partsOf: (box) => stateOf(box).parts };
})();
