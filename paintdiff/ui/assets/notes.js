// Sentences next to settings: all of a tab's come through one element (ui/notes.py).
"use strict";

window.paintdiff.notes = (() => {
  const OPENING_MS = 300;
  const said = new Map();  // by a place's id: the id of what it stands below, and its markup

  function show(value) {
    if (!value) return;
    for (const [id, note] of Object.entries(JSON.parse(value).notes)) {
      said.set(id, note);
      put(id);
    }
  }

  function put(id) {
    const [beside, markup] = said.get(id);
    let place = document.getElementById(id);
    if (!place) {
      const setting = document.getElementById(beside);
      if (!setting || !markup) return;
      place = document.createElement("div");
      place.id = id;
      place.className = "note-place";
      setting.after(place);
    }
    if (place.said === markup) return;  // else a reader would hear it again
    place.said = markup;
    place.innerHTML = markup;
  }

  // A setting in a closed part of the page isn't there until that is opened.
  document.addEventListener("click", () => setTimeout(() => {
    for (const [id, [, markup]] of said) if (markup) put(id);
  }, OPENING_MS));

  (window.paintdiffNotes ?? []).splice(0).forEach(show);
  return { show };
})();
