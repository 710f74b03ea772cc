// A large picture to look at closely: zoom, move and, where it was made from a smaller one, compare with that.
// `paintdiff.viewer.mount(element)` puts one into every .viewer-place of the element; what it shows is in the place's
// data. The markup is constant, and words are only ever set as textContent.
"use strict";

window.paintdiff.viewer = (() => {
  const { Place } = window.paintdiff.canvas;
  const MOST = 8; // device pixels for a pixel of the picture
  const MARGIN_PX = 12;
  const MOVED_PX = 4; // a finger that has gone less far hasn't moved
  const TAPS_MS = 350; // two taps within this time are a double tap
  const TAP_PX = 28; // ... if they are no further apart
  const STEP = 0.02;
  const LARGE_STEP = 0.1;
  const PAN_PX = 48;

  const button = (action, title, text) =>
    `<button type="button" data-do="${action}" title="${title}" aria-label="${title}">${text}</button>`;
  const icon = (line) => `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${line}"/></svg>`;
  const MARKUP = `<div class="viewer">
    <div class="viewer-view" tabindex="0" role="group"
      aria-label="The picture: + and − zoom, arrow keys move it">
      <div class="viewer-half viewer-after"><div class="viewer-checks"></div>
        <img class="final" draggable="false"><span class="viewer-tag" aria-hidden="true"></span></div>
      <div class="viewer-half viewer-before"><div class="viewer-checks"></div>
        <img draggable="false" alt="The picture before"><span class="viewer-tag" aria-hidden="true"></span></div>
      <div class="viewer-divider" role="slider" tabindex="0" aria-label="Before and after"
        aria-orientation="horizontal" aria-valuemin="0" aria-valuemax="100">
        <span>${icon("M9 7l-5 5 5 5M15 7l5 5-5 5")}</span></div>
    </div>
    <div class="viewer-foot"><p class="viewer-said"></p><div class="viewer-zoom">
      ${button("zoomOut", "Zoom out (-)", icon("M6 12h12"))}
      <button type="button" data-do="actual" class="viewer-scale" title="Show at 100 % (1)"></button>
      ${button("zoomIn", "Zoom in (+)", icon("M6 12h12M12 6v12"))}
      <button type="button" data-do="fit" title="Fit the picture in (0)">Fit</button></div></div></div>`;
  const KEYS = { 0: "fit", 1: "actual", "+": "zoomIn", "=": "zoomIn", "-": "zoomOut" };
  const PANS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const SLIDES = {
    ArrowLeft: -STEP, ArrowDown: -STEP, ArrowRight: STEP, ArrowUp: STEP,
    PageDown: -LARGE_STEP, PageUp: LARGE_STEP, Home: -1, End: 1,
  };

  const between = (low, value, high) => Math.min(high, Math.max(low, value));

  // No edge of the picture comes into a room that it could fill.
  class Room extends Place {
    get most() { return MOST / window.devicePixelRatio; }
    get least() { return Math.min(this.#fitting, 1 / window.devicePixelRatio); }

    // Whether there is more of the picture than is seen.
    get roams() {
      const { document, width, height, scale } = this;
      return document.width * scale > width + 1 || document.height * scale > height + 1;
    }

    held(scale, left, top) {
      const { document, width, height } = this;
      const along = (place, room, side) =>
        side <= room ? (room - side) / 2 : between(room - side, place, 0);
      return { left: along(left, width, document.width * scale), top: along(top, height, document.height * scale) };
    }

    get #fitting() {
      const { document, width, height, margin } = this;
      return Math.min((width - 2 * margin) / document.width, (height - 2 * margin) / document.height);
    }
  }

  class Viewer {
    #fingers = new Map();
    #drag = null; // {pointer, what: "divider" or "picture", x, y, moved}
    #tap = null; // the last one: {time, x, y}
    #onDivider = false; // whether the last press was
    #part = 0.5; // where the divider is, of what is seen of the picture

    constructor({ after, alt, width, height, before, beforeSize, afterSize, said, swipes }) {
      const template = document.createElement("template");
      template.innerHTML = MARKUP;
      this.root = template.content.firstElementChild;
      this.swipes = Boolean(swipes); // a finger beside the divider leads to another picture
      this.view = this.#find(".viewer-view");
      this.divider = this.#find(".viewer-divider");
      this.halves = [".viewer-after", ".viewer-before"].map((name) => this.#find(name));
      this.#find(".viewer-said").textContent = said;
      this.#find(".viewer-after .viewer-tag").textContent = `After, ${afterSize}`;
      this.#find(".viewer-before .viewer-tag").textContent = `Before, ${beforeSize}`;
      this.#find(".viewer-after img").alt = alt;
      this.#find(".viewer-after img").src = after;
      this.#compare(before);
      this.room = new Room(this.view, { margin: MARGIN_PX, moved: () => this.#draw() });
      this.room.show({ width: Number(width), height: Number(height) });
      this.#listen();
    }

    #find(selector) { return this.root.querySelector(selector); }

    #compare(before) {
      const picture = this.#find(".viewer-before img");
      picture.addEventListener("error", () => this.root.classList.add("viewer-alone")); // it has been forgotten
      this.root.classList.toggle("viewer-alone", !before);
      if (before) picture.src = before;
    }

    get alone() { return this.root.classList.contains("viewer-alone"); }

    // From where to where the picture is seen, in CSS pixels of the view.
    get #seen() {
      const { left, scale, width, document } = this.room;
      return [Math.max(0, left), Math.min(width, left + document.width * scale)];
    }

    #draw() {
      const { room, root, divider } = this;
      const { left, top, scale, document: picture } = room;
      const [width, height] = [picture.width * scale, picture.height * scale];
      for (const half of this.halves) {
        for (const each of half.querySelectorAll("img, .viewer-checks")) {
          Object.assign(each.style, {
            width: `${width}px`, height: `${height}px`, transform: `translate(${left}px, ${top}px)`,
          });
        }
      }
      const real = scale * window.devicePixelRatio;
      root.classList.toggle("viewer-crisp", real > 1.001 && !room.fitted); // who zooms in wants to see pixels
      root.classList.toggle("viewer-roams", room.roams);
      this.#find(".viewer-scale").textContent = `${Math.round(real * 100)} %`;
      this.#find("[data-do=zoomIn]").disabled = scale >= room.most * 0.999;
      this.#find("[data-do=zoomOut]").disabled = scale <= room.least * 1.001;
      const [from, to] = this.#seen;
      const cut = from + (to - from) * this.#part;
      root.style.setProperty("--cut", `${cut}px`);
      root.style.setProperty("--from", `${from}px`);
      root.style.setProperty("--until", `${Math.max(0, room.width - to)}px`);
      root.style.setProperty("--above", `${Math.max(0, top)}px`);
      const percent = Math.round(this.#part * 100);
      divider.setAttribute("aria-valuenow", String(percent));
      divider.setAttribute("aria-valuetext", `${percent} % before, ${100 - percent} % after`);
    }

    #slide(part) {
      this.#part = between(0, part, 1);
      this.#draw();
    }

    #slideTo(clientX) {
      const [from, to] = this.#seen;
      this.#slide((clientX - this.view.getBoundingClientRect().left - from) / Math.max(1, to - from));
    }

    // The whole picture, or its pixels as they are around a point of the page.
    #toggle(clientX, clientY) {
      if (this.room.fitted) this.room.actual(clientX, clientY);
      else this.room.fit();
    }

    act(name) {
      const { room } = this;
      ({
        fit: () => room.fit(),
        actual: () => room.actual(),
        zoomIn: () => room.zoom(1.25),
        zoomOut: () => room.zoom(0.8),
      })[name]?.();
    }

    #listen() {
      const { root, view } = this;
      root.addEventListener("click", (event) => this.act(event.target.closest("[data-do]")?.dataset.do));
      root.addEventListener("keydown", (event) => this.#key(event));
      view.addEventListener("wheel", (event) => this.room.wheel(event), { passive: false });
      view.addEventListener("pointerdown", (event) => this.#down(event));
      view.addEventListener("pointermove", (event) => this.#move(event));
      view.addEventListener("pointerup", (event) => this.#up(event));
      view.addEventListener("pointercancel", (event) => this.#up(event, true));
      view.addEventListener("dblclick", (event) => {
        if (this.#onDivider) this.#slide(0.5);
        else if (this.#tap === null) this.#toggle(event.clientX, event.clientY); // fingers see to it themselves
      });
    }

    // Pointers

    #down(event) {
      if (event.pointerType !== "touch") this.#tap = null;
      if (event.button !== 0) return;
      this.view.setPointerCapture(event.pointerId);
      if (event.pointerType === "touch") this.#fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (this.#fingers.size > 1) {
        this.#drag = null;
        this.#tap = null;
        return;
      }
      this.#onDivider = this.divider.contains(event.target);
      const swipe = this.swipes && event.pointerType === "touch";
      const what = this.#onDivider || (!this.room.roams && !this.alone && !swipe) ? "divider" : "picture";
      this.#drag = { pointer: event.pointerId, what, x: event.clientX, y: event.clientY, moved: false };
      if (this.#onDivider) this.divider.focus({ preventScroll: true });
    }

    #move(event) {
      const { clientX: x, clientY: y } = event;
      if (this.#fingers.has(event.pointerId)) {
        const before = [...this.#fingers.values()];
        this.#fingers.set(event.pointerId, { x, y });
        if (before.length === 2) return this.room.pinch(before, [...this.#fingers.values()]);
      }
      const drag = this.#drag;
      if (drag?.pointer !== event.pointerId) return;
      if (!drag.moved && Math.hypot(x - drag.x, y - drag.y) < MOVED_PX) return;
      if (drag.what === "divider") this.#slideTo(x);
      else this.room.pan(x - drag.x, y - drag.y);
      Object.assign(drag, { x, y, moved: true });
      this.root.classList.toggle("viewer-moving", drag.what === "picture");
    }

    #up(event, broken = false) {
      const drag = this.#drag?.pointer === event.pointerId ? this.#drag : null;
      this.#fingers.delete(event.pointerId);
      if (!drag) return;
      this.#drag = null;
      this.root.classList.remove("viewer-moving");
      if (event.pointerType === "touch" && !drag.moved && !broken) this.#tapped(event);
    }

    #tapped({ timeStamp: time, clientX: x, clientY: y }) {
      const last = this.#tap;
      const twice = last && time - last.time < TAPS_MS && Math.hypot(x - last.x, y - last.y) < TAP_PX;
      this.#tap = { time: twice ? -Infinity : time, x, y };
      if (twice && !this.#onDivider) this.#toggle(x, y);
    }

    // Keys

    #key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const { key } = event;
      const onDivider = event.target === this.divider;
      if (onDivider && key in SLIDES) this.#slide(this.#part + SLIDES[key]);
      else if (event.target === this.view && key in PANS) this.room.pan(...PANS[key].map((step) => step * PAN_PX));
      else if (KEYS[key]) this.act(KEYS[key]);
      else return;
      event.preventDefault();
    }
  }

  // A place that is rebuilt with the same picture keeps its viewer, with zoom and position.
  const viewers = new WeakMap();

  function mount(element) {
    for (const place of element.querySelectorAll(".viewer-place")) {
      const shown = JSON.stringify(place.dataset);
      let known = viewers.get(place);
      if (known?.shown !== shown) viewers.set(place, known = { shown, viewer: new Viewer(place.dataset) });
      if (known.viewer.root.parentNode !== place) place.replaceChildren(known.viewer.root);
    }
  }

  if (document.body) mount(document.body);
  return { mount };
})();
