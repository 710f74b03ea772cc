// What the Gallery tab's scripts share: asking the routes (ui/gallery/routes.py), and making elements.
"use strict";

window.paintdiff.galleryTools = (() => {
  const { messages } = window.paintdiff;

  const url = (id, what = "") => `gallery/pictures/${id}${what && `/${what}`}`;
  const times = ({ width, height }) => `${width}x${height}`;

  // The answer of a route, or an error whose message is for people.
  async function ask(path, body, signal) {
    const sent = body ? { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } } : {};
    let answer, content;
    try {
      answer = await fetch(path, { cache: "no-store", signal, ...sent });
      content = await answer.json();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error(messages.NOT_RESPONDING);
    }
    if (answer.ok) return content;
    throw new Error(typeof content.detail === "string" ? content.detail : messages.somethingWrong(answer.status));
  }

  function element(name, classes, text) {
    const made = document.createElement(name);
    if (classes) made.className = classes;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function button(classes, text, act) {
    const made = element("button", classes, text);
    made.type = "button";
    made.addEventListener("click", act);
    return made;
  }

  function picture(id, classes = "") {
    const image = element("img", classes);
    image.alt = "";
    image.draggable = false;
    image.decoding = "async";
    image.src = url(id, "thumbnail");
    return image;
  }

  // Whether a click was within an element; its backdrop counts as the element itself.
  function contains(box, { clientX: x, clientY: y }) {
    const { left, right, top, bottom } = box.getBoundingClientRect();
    return x >= left && x <= right && y >= top && y <= bottom;
  }

  // Closes a dialog whose backdrop is clicked.
  function closeOutside(dialog) {
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog && !contains(dialog, event)) dialog.close();
    });
  }

  return { url, times, ask, element, button, picture, closeOutside };
})();
