// Like and dislike below a picture that was just painted.
"use strict";

window.paintdiff.ratings = (() => {
  const { ask } = window.paintdiff.galleryTools;
  const known = new Map(); // feedback by the picture's id
  const groups = (place) => place.querySelectorAll("[data-rated]");

  function show(group) {
    const feedback = known.get(group.dataset.rated) ?? 0;
    for (const button of group.querySelectorAll("[data-rate]")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.rate) === feedback));
    }
  }

  function bring({ id, feedback }) {
    known.set(id, feedback);
    for (const group of groups(document)) if (group.dataset.rated === id) show(group);
  }

  // A page that was loaded again doesn't know what was said before.
  function mount(place) {
    for (const group of groups(place)) {
      const id = group.dataset.rated;
      show(group);
      if (known.has(id)) continue;
      known.set(id, 0);
      ask(`gallery/pictures/${id}`).then(bring, () => known.delete(id)); // a click says what is wrong
    }
  }

  document.addEventListener("click", async (event) => {
    const button = event.target instanceof Element && event.target.closest("[data-rate]");
    if (!button) return;
    const group = button.closest("[data-rated]");
    const on = button.getAttribute("aria-pressed") === "true";
    const value = on ? 0 : Number(button.dataset.rate);
    try {
      const { pictures } = await ask("gallery/changes", { ids: [group.dataset.rated], change: "feedback", value });
      group.querySelector(".rate-problem").textContent = "";
      pictures.forEach(bring);
    } catch (error) {
      group.querySelector(".rate-problem").textContent = error.message;
    }
  });

  mount(document);
  return { bring, mount };
})();
