// The canvas's bars, menus and words. It only shows what the canvas says and hands on what is clicked.
// The markup is constant; names of files and other people's words are only ever set as textContent.
"use strict";

Object.assign(window.paintdiff.canvas, (() => {
  const MAX_BRUSH_PX = 512;
  const NOTE_MS = 7000;
  const WRITTEN_IN = "input:not([type=range], [type=color], [type=checkbox], [type=radio], [type=button]), textarea, " +
    "select, [contenteditable=true]";

  const icon = (shapes) => `<svg viewBox="0 0 24 24" aria-hidden="true">${shapes}</svg>`;
  const paths = (...lines) => icon(lines.map((line) => `<path d="${line}"/>`).join(""));
  const ICONS = {
    mask: icon(
      '<circle cx="12" cy="12" r="8.5" stroke-dasharray="3.4 2.6"/><circle class="full" cx="12" cy="12" r="4"/>',
    ),
    sketch: paths("M4 20c4 .3 6-.8 6-3.4a2.6 2.6 0 0 0-4.6-1.6C4.2 16.5 5 18.5 4 20z", "M9.5 13.5 19 4l1.5 1.5-8.8 10"),
    eraser: paths("M9 20h11", "M4.5 14.5 13 6l6 6-8 8H9z", "M8.5 10.5l6 6"),
    pick: paths("M13.5 7.5l3 3", "M5 19l.8-3.2 8.7-8.7 2.4 2.4-8.7 8.7z",
      "M14 6l1.7-1.7a2.3 2.3 0 0 1 3.2 0l.8.8a2.3 2.3 0 0 1 0 3.2L18 10z"),
    pan: paths("M12 3v18M3 12h18",
      "M9.5 5.5 12 3l2.5 2.5M9.5 18.5 12 21l2.5-2.5M5.5 9.5 3 12l2.5 2.5M18.5 9.5 21 12l-2.5 2.5"),
    undo: paths("M8.5 13.5 4 9l4.5-4.5", "M4 9h10a5.5 5.5 0 0 1 0 11h-4"),
    redo: paths("M15.5 13.5 20 9l-4.5-4.5", "M20 9H10a5.5 5.5 0 0 0 0 11h4"),
    full: paths("M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5"),
    picture: icon(
      '<rect x="3" y="5" width="18" height="14" rx="2"/><circle cx="8.5" cy="10" r="1.5"/>' +
      '<path d="M4 17.5l5.5-5 4 4 2.5-2.5 4 4"/>',
    ),
    minus: paths("M6 12h12"),
    plus: paths("M6 12h12M12 6v12"),
  };
  const TOOLS = [
    ["mask", "Mask brush: mark what should change (M)"],
    ["sketch", "Colour brush: paint colours as a guide (B)"],
    ["eraser", "Eraser (E)"],
    ["pick", "Pick a colour from the picture (I)"],
    ["pan", "Move the picture (H, or hold Space)"],
  ];
  const LAYERS = [["picture", "Picture"], ["sketch", "Colour strokes"], ["mask", "Mask"]];
  const NO_MASK = ([name]) => name !== "mask";

  const button = (action, name, title) =>
    `<button type="button" class="paint-icon" data-do="${action}" title="${title}" ` +
    `aria-label="${title}">${ICONS[name]}</button>`;
  const entry = (action, text, kind = "") =>
    `<button type="button" class="${kind}" data-do="${action}">${text}</button>`;
  const menu = (name, content) =>
    `<details class="paint-menu"><summary>${name}</summary><div class="paint-list">${content}</div></details>`;
  const slider = (name, text, attributes) =>
    `<label class="paint-slider"><span>${text}</span><input type="range" data-set="${name}" ${attributes}>` +
    `<output data-of="${name}"></output></label>`;

  const BARS = (masks) =>
    '<div class="paint-bar" role="toolbar" aria-label="Painting tools"><div class="paint-group">' +
    TOOLS.filter(masks ? Boolean : NO_MASK).map(([tool, title]) =>
      `<button type="button" class="paint-icon" data-tool="${tool}" title="${title}" aria-label="${title}" ` +
      `aria-pressed="false">${ICONS[tool]}</button>`).join("") +
    '</div><div class="paint-group">' + button("undo", "undo", "Undo (Ctrl+Z)") +
    button("redo", "redo", "Redo (Ctrl+Shift+Z)") +
    "</div>" +
    (masks ? menu("Mask", entry("invertMask", "Invert the mask") + entry("clearMask", "Clear the mask") +
      entry("chooseMask", "Upload a mask…") + entry("downloadMask", "Download the mask")) : "") +
    menu("Layers", LAYERS.filter(masks ? Boolean : NO_MASK).map(([name, title]) =>
      `<label><input type="checkbox" data-show="${name}" checked>${title}</label>`).join("") +
      entry("clearSketch", "Clear the colour strokes")) +
    menu("Picture", entry("choosePicture", "Open a file…") + entry("askBlank", "Blank canvas…") +
      entry("clearAll", "Clear all")) +
    '<div class="paint-group paint-last">' + button("fullScreen", "full", "Full screen (F)") + "</div></div>" +
    '<div class="paint-options">' +
    slider("size", "Size", 'min="0" max="100" step="0.5"') +
    slider("softness", "Softness", 'min="0" max="100"') +
    slider("opacity", "Opacity", 'min="1" max="100"') +
    '<label class="paint-colour"><span>Colour</span><input type="color" data-set="colour"></label>' +
    '<span class="paint-erases" role="status"></span></div>';

  const OPEN = entry("choosePicture", "Open a file", "paint-main");
  const EMPTY = {
    well: `<p>Drop a picture here, paste one, or open a file.</p><div>${OPEN}</div>`,
    paint: `<p>Drop a picture here, paste one, or open a file.</p>
      <div>${OPEN}${entry("askBlank", "Blank canvas")}</div>`,
    lines: `<p>Draw on a blank canvas, or drop, paste or open a picture.</p>
      <div>${entry("makeBlank", "Start drawing", "paint-main")}${entry("choosePicture", "Open a file")}</div>`,
  };

  const MARKUP = ({ tools, masks }) => `<div class="paint-canvas ${tools ? "" : "paint-well"}" role="group"
    aria-label="${tools ? "Canvas" : "Picture"}">${tools ? BARS(masks) : ""}
    <div class="paint-view">
      <canvas class="paint-surface" tabindex="0" aria-label="${tools ? "Picture to paint on" : "Picture"}"></canvas>
      <div class="paint-ring" hidden></div>
      <div class="paint-empty">${ICONS.picture}${EMPTY[!tools ? "well" : masks ? "paint" : "lines"]}</div>
      <p class="paint-note" role="status"></p>
    </div>
    <div class="paint-foot"><span class="paint-size"></span>${tools
      ? `<div class="paint-group paint-zoom">${button("zoomOut", "minus", "Zoom out (-)")}
         <button type="button" data-do="actual" class="paint-scale" title="Show at 100 % (1)">100 %</button>
         ${button("zoomIn", "plus", "Zoom in (+)")}
         <button type="button" data-do="fit" title="Fit to window (0)">Fit</button></div>`
      : `<div class="paint-group">${entry("choosePicture", "Replace")}${entry("clearAll", "Clear")}</div>`}</div>
    <input type="file" accept="image/*" hidden aria-label="A picture file">
    <dialog class="paint-blank"><form method="dialog"><h3>Blank canvas</h3>
      <label>Width <input type="number" name="width" min="16" max="4096" required></label>
      <label>Height <input type="number" name="height" min="16" max="4096" required></label>
      <label>Colour <input type="color" name="colour" value="#ffffff"></label>
      <div><button type="button" value="cancel" data-do="closeBlank">Cancel</button>
      <button class="paint-main" value="make">Create</button></div></form></dialog></div>`;

  const sizeOf = (slid) => Math.round(1 + (MAX_BRUSH_PX - 1) * (slid / 100) ** 2);
  const slidOf = (size) => 100 * Math.sqrt((size - 1) / (MAX_BRUSH_PX - 1));
  const hexOf = (colour) => `#${colour.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
  const rgbOf = (hex) => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));

  class Panel {
    #noteTimer = 0;

    constructor(canvas) {
      this.canvas = canvas;
      const template = document.createElement("template");
      template.innerHTML = MARKUP(canvas);
      this.root = template.content.firstElementChild;
      this.surface = this.find(".paint-surface");
      this.ring = this.find(".paint-ring");
      this.file = this.find("input[type=file]");
      this.dialog = this.find("dialog");
      this.root.addEventListener("click", (event) => this.#clicked(event));
      this.root.addEventListener("input", (event) => this.#slid(event.target));
      this.file.addEventListener("change", () => this.#chosen());
      this.dialog.addEventListener("close", () => this.#blankAnswered());
      document.addEventListener("pointerdown", (event) => this.closeMenus(event.target));
      this.#acceptFiles();
    }

    find(selector) { return this.root.querySelector(selector); }

    // Shows the canvas's state.
    update() {
      const { canvas, root } = this;
      const { document: picture, tool, brush } = canvas;
      root.classList.toggle("paint-none", !picture);
      root.dataset.tool = tool;
      for (const each of root.querySelectorAll("button[data-tool]")) {
        each.setAttribute("aria-pressed", String(each.dataset.tool === tool));
      }
      this.#able("undo", canvas.history.canUndo);
      this.#able("redo", canvas.history.canRedo);
      for (const action of ["invertMask", "clearMask", "chooseMask", "downloadMask", "clearSketch", "clearAll"]) {
        this.#able(action, Boolean(picture));
      }
      for (const each of root.querySelectorAll("[data-show]")) each.checked = canvas.view.shows[each.dataset.show];
      this.#value("size", slidOf(Math.max(1, brush.size)), brush.size ? `${Math.round(brush.size)} px` : "–");
      this.#value("softness", brush.softness * 100, `${Math.round(brush.softness * 100)} %`);
      this.#value("opacity", brush.opacity * 100, `${Math.round(brush.opacity * 100)} %`);
      this.#value("colour", hexOf(canvas.colour));
      const erased = canvas.layerKind === "mask" ? "Erases the mask" : "Erases colour strokes";
      this.#text(".paint-erases", tool === "eraser" ? erased : "");
      this.#text(".paint-size", picture ? `${picture.width}x${picture.height}` : "");
      this.moved();
    }

    // Shows how large the picture is shown.
    moved() {
      const { view } = this.canvas;
      this.#text(".paint-scale", `${Math.round(view.scale * window.devicePixelRatio * 100)} %`);
    }

    // Says something at the canvas's edge: an error stays until something else is said.
    say(text, isError = false) {
      const note = this.find(".paint-note");
      note.textContent = text;
      note.classList.toggle("paint-error", isError);
      clearTimeout(this.#noteTimer);
      if (text && !isError) this.#noteTimer = setTimeout(() => this.say(""), NOTE_MS);
    }

    // Whether keys and pasted files are meant for this canvas: the pointer is over it or, if it is over none, it has
    // the focus; and nothing is being written.
    isActive() {
      const { root } = this;
      if (document.activeElement?.closest(WRITTEN_IN) || this.dialog.open) return false;
      const under = document.querySelector(".paint-canvas:hover");
      return under ? under === root : root.contains(document.activeElement);
    }

    async fullScreen() {
      const { root } = this;
      if (document.fullscreenElement === root) await document.exitFullscreen();
      else if (root.requestFullscreen) await root.requestFullscreen();
      else root.classList.toggle("paint-full"); // phones that give the whole screen to films only
    }

    closeMenus(except = null) {
      for (const open of this.root.querySelectorAll("details[open]")) if (!open.contains(except)) open.open = false;
    }

    choose(purpose) {
      this.purpose = purpose;
      this.file.click();
    }

    askBlank({ width, height }) {
      const { width: wide, height: high } = this.dialog.querySelector("form").elements;
      wide.value = String(width);
      high.value = String(height);
      this.dialog.returnValue = "";
      this.dialog.showModal();
    }

    #clicked(event) {
      const target = event.target.closest("button");
      if (!target) return;
      if (target.dataset.tool) this.canvas.choose(target.dataset.tool);
      else if (target.dataset.do === "closeBlank") this.dialog.close();
      else if (target.dataset.do) this.canvas.act(target.dataset.do);
      this.closeMenus();
    }

    #slid(target) {
      const { canvas } = this;
      const { set, show } = target.dataset;
      if (show) canvas.shows(show, target.checked);
      else if (set === "colour") canvas.setColour(rgbOf(target.value));
      else if (set === "size") canvas.setBrush({ size: sizeOf(target.valueAsNumber) });
      else if (set) canvas.setBrush({ [set]: target.valueAsNumber / 100 });
    }

    #chosen() {
      const [file] = this.file.files;
      this.file.value = ""; // so that the same file can be chosen again
      if (file) this.canvas.take(file, this.purpose);
    }

    #blankAnswered() {
      if (this.dialog.returnValue !== "make") return;
      const { width, height, colour } = this.dialog.querySelector("form").elements;
      const size = { width: width.valueAsNumber, height: height.valueAsNumber };
      this.canvas.makeBlank(size, rgbOf(colour.value));
    }

    #acceptFiles() {
      const { root, canvas } = this;
      const picture = ({ files }) => [...files].find((file) => file.type.startsWith("image/"));
      root.addEventListener("dragover", (event) => {
        if (!event.dataTransfer.types.includes("Files")) return;
        event.preventDefault();
        root.classList.add("paint-over");
      });
      root.addEventListener("dragleave", (event) => {
        if (!root.contains(event.relatedTarget)) root.classList.remove("paint-over");
      });
      root.addEventListener("drop", (event) => {
        root.classList.remove("paint-over");
        if (!event.dataTransfer.types.includes("Files")) return;
        event.preventDefault();
        const file = picture(event.dataTransfer);
        if (file) canvas.take(file);
        else this.say(window.paintdiff.messages.NOT_A_PICTURE, true);
      });
      document.addEventListener("paste", (event) => {
        const file = picture(event.clipboardData);
        if (!file || !this.isActive()) return;
        event.preventDefault();
        canvas.take(file);
      });
    }

    #able(action, possible) {
      for (const each of this.root.querySelectorAll(`[data-do="${action}"]`)) each.disabled = !possible;
    }

    #value(name, value, text) {
      const input = this.find(`[data-set="${name}"]`);
      if (!input) return;
      if (input !== document.activeElement || input.type !== "color") input.value = String(value);
      if (text) this.#text(`[data-of="${name}"]`, text);
    }

    #text(selector, text) {
      const place = this.find(selector);
      if (place && place.textContent !== text) place.textContent = text;
    }
  }

  return { Panel, MAX_BRUSH_PX };
})());
