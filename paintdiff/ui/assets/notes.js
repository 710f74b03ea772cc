// Sentences next to settings: all of a tab's come through one element, its board (ui/notes.py).
"use strict";

window.paintdiff.notes = (() => {
  const OPENING_MS = 300;
  const PICTURES = /(image|images|mask|picture)$/; // what a place's id ends with if it is about a canvas beside it
  const said = new Map();  // by a place's id: the id of what it stands below, its markup, its board

  function show(value, element) {
    if (!value) return;
    const board = element.closest(".note-board");
    const notes = Object.entries(JSON.parse(value).notes);
    for (const [id, [beside, markup]] of notes) {
      said.set(id, { beside, markup, board });
      put(id);
    }
    const error = notes.map(([id]) => document.querySelector(`#${id} .note.error`)).find((each) => each?.checkVisibility());
    error?.scrollIntoView({ behavior: "smooth", block: "nearest" });
  }

  // Sentences that no longer hold once the setting has changed. Advice about sizes is the server's to take back.
  const passes = (id, markup) => markup.includes("note error") || (markup !== "" && id.endsWith("note-prompt"));

  // A setting that isn't on the page, hidden or in a closed part of it, has its sentences at the board.
  function put(id) {
    const { beside, markup, board } = said.get(id);
    let place = document.getElementById(id);
    if (!place && !markup) return;
    if (!place) {
      place = document.createElement("div");
      place.id = id;
      place.className = "note-place";
    }
    const setting = document.getElementById(beside) ?? board;
    if (place.below !== setting || !place.isConnected) setting.after(place);
    place.below = setting;
    if (place.said === markup) return;  // else a reader would hear it again
    place.said = markup;
    place.innerHTML = markup;
    place.dispatchEvent(new CustomEvent("paintdiff-noted", { bubbles: true }));
  }

  document.addEventListener("click", () => setTimeout(() => {
    for (const [id, { markup }] of said) if (markup) put(id);
  }, OPENING_MS));

  // A sentence goes when what it is about is changed; one about no setting in particular, when anything is.
  function changed({ type, target }) {
    for (const [id, { beside, markup, board }] of said) {
      if (passes(id, markup) && about(id, beside, board, type)?.contains(target)) {
        said.set(id, { beside, markup: "", board });
        put(id);
      }
    }
  }

  function errors() {
    return new Set([...said].filter(([id, { markup }]) => passes(id, markup)).map(([, each]) => each));
  }

  // Those of the errors go that are about settings which have got other values, whoever gave them these.
  function settle(errors, settings) {
    for (const [id, each] of said) {
      if (!errors.has(each)) continue;
      const place = about(id, each.beside, each.board, "change");
      if (!settings.some((name) => name === each.beside || inside(place, name))) continue;
      said.set(id, { ...each, markup: "" });
      put(id);
    }
  }

  const inside = (place, id) => {
    const element = document.getElementById(id);
    return element !== null && place?.contains(element) === true;
  };

  function about(id, beside, board, type) {
    const setting = document.getElementById(beside);
    if (id.endsWith("note-run")) return board.closest(".studio");
    if (type === "paintdiff-changed") return PICTURES.test(id) ? setting?.parentElement : null;
    return setting?.closest("[id$=size-group]") ?? setting;
  }
  for (const name of ["input", "change", "paintdiff-changed"]) document.addEventListener(name, changed, true);

  (window.paintdiffNotes ?? []).splice(0).forEach((each) => show(...each));
  return { errors, settle, show };
})();
