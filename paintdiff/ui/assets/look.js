// A picture that is clicked is shown large, with its prompt and settings, in a viewer of its own. The page goes on
// behind it. Words are only ever set as textContent.
"use strict";

window.paintdiff.look = (() => {
  function show({ picture, alt, settings, download, ...shown }) {
    const dialog = document.getElementById("look-dialog");
    const place = document.createElement("div");
    place.className = "viewer-place";
    Object.assign(place.dataset, shown, { alt });
    dialog.querySelector(".look-place").replaceChildren(place);
    dialog.querySelector(".look-words").textContent = alt;
    dialog.querySelector(".look-settings").textContent = settings;
    dialog.querySelector(".save").href = download;
    for (const button of dialog.querySelectorAll("[data-send]")) button.dataset.picture = picture;
    dialog.showModal();
    window.paintdiff.viewer.mount(dialog);
    place.querySelector(".viewer-view").focus({ preventScroll: true });
  }

  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    const button = event.target.closest("[data-look]");
    if (button) return show(button.dataset);
    const dialog = event.target.closest("#look-dialog");
    if (dialog && (event.target === dialog || event.target.closest("[data-close-look], [data-send]"))) dialog.close();
  });

  return { show };
})();
