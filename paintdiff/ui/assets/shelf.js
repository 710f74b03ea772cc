// The Models tab: what its buttons bring, where the keyboard's focus goes when the list is rebuilt, and how far
// downloads are. Text is only ever set as textContent.
"use strict";

window.paintdiff.shelf = (() => {
  const POLL_MS = 800;
  const GOING_ON = new Set(["waiting", "running"]);

  // What a button is for, to find its counterpart after the list was rebuilt.
  const meaning = ({ do: act, kind, name, index, id }) => JSON.stringify([act, kind, name, index, id]);

  function mount() {
    for (const { element, trigger, watch } of (window.paintdiffShelves ?? []).splice(0)) {
      let pressed = null;
      element.addEventListener("click", (event) => {
        event.target.closest("[data-close]")?.parentElement.remove();
        if (event.target.closest("[data-retry]")) document.getElementById("models-search").click();
        const button = event.target.closest("[data-do]");
        if (!button || !element.contains(button)) return;
        pressed = { ...button.dataset };
        trigger("click", { tab: window.paintdiff.paintedIn(), ...button.dataset });
      });
      watch("value", () => {
        if (pressed) refocus(element, pressed);
        pressed = null;
        follow(element, trigger);
      });
      new IntersectionObserver((seen) => {
        if (seen.some((each) => each.isIntersecting)) follow(element, trigger);
      }).observe(element);
      document.addEventListener("visibilitychange", () => follow(element, trigger));
      follow(element, trigger);
    }
  }

  // Whoever works with the keyboard stays on the card.
  function refocus(element, pressed) {
    if (document.activeElement !== document.body && document.activeElement !== null) return;
    const buttons = [...element.querySelectorAll("[data-do]")];
    const same = buttons.find((button) => meaning(button.dataset) === meaning(pressed))
      ?? buttons.find((button) => button.dataset.kind === pressed.kind && button.dataset.name === pressed.name);
    same?.focus({ preventScroll: true });
  }

  // Downloads: asked for only while one is going on and its bar can be seen.

  const following = new WeakSet();

  async function follow(element, trigger) {
    if (following.has(element)) return;
    following.add(element);
    try {
      while (isGoingOn(element)) {
        await new Promise((resume) => setTimeout(resume, POLL_MS));
        if (!isGoingOn(element)) break;
        const states = await asked();
        if (states && brought(element, states)) {
          trigger("submit");
          break; // the list is rebuilt, and followed then
        }
      }
    } finally {
      following.delete(element);
    }
  }

  function isGoingOn(element) {
    return document.visibilityState === "visible" && element.isConnected && element.checkVisibility()
      && [...element.querySelectorAll("[data-download]")].some((row) => GOING_ON.has(row.dataset.state));
  }

  async function asked() {
    try {
      const answer = await fetch("models/downloads", { cache: "no-store", signal: AbortSignal.timeout(5000) });
      return answer.ok ? await answer.json() : null;
    } catch {
      return null; // the status bar says that the app doesn't answer
    }
  }

  // Brings the bars up to date. Whether a download has begun or ended, so that more has to change than that.
  function brought(element, states) {
    const rows = new Map([...element.querySelectorAll("[data-download]")].map((row) => [row.dataset.download, row]));
    let moved = states.length !== rows.size;
    for (const { id, state, done_bytes: done, total_bytes: total } of states) {
      const row = rows.get(id);
      if (!row || row.dataset.state !== state) moved = true;
      if (!row || !GOING_ON.has(state)) continue;
      const bar = row.querySelector("progress");
      if (bar && total > 0) bar.value = Math.min(1, done / total);
      const words = row.querySelector(".transfer-words");
      if (words && done > 0) words.textContent = `downloading, ${window.paintdiff.byteSize(done)}${total > 0 ? ` of ${window.paintdiff.byteSize(total)}` : ""}`;
    }
    return moved;
  }

  mount();
  return { mount };
})();
