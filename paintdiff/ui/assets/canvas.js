// The canvas as a whole: what is on it, how it gets there, and how it gets to the server.
// `paintdiff.canvas.flush(name)` is what the page's events call; its promise is the component's value.
"use strict";

Object.assign(window.paintdiff.canvas, (() => {
  const { Change, History, Stroke, Panel, View, Hand, Memory, Picture, Sent, CanvasError } = window.paintdiff.canvas;
  const { encodedPng, colourPng, maskValues, MAX_BRUSH_PX } = window.paintdiff.canvas;
  const EMPTY = { image: null, sketch: null, mask: null, width: 0, height: 0 };
  const SAVE_MS = 300;
  const BRUSH_PART = 0.08; // a brush's first size, of the picture's shorter side

  class PaintCanvas {
    // What the bars and keys ask for, by name.
    static #ALWAYS = {
      undo: (canvas) => canvas.#stepped(canvas.history.undo()),
      redo: (canvas) => canvas.#stepped(canvas.history.redo()),
      choosePicture: ({ panel }) => panel.choose("picture"),
      askBlank: ({ panel, document: picture, limits }) =>
        panel.askBlank(picture?.width ?? limits.blank_width, picture?.height ?? limits.blank_height),
      fullScreen: (canvas) => canvas.#reported(canvas.panel.fullScreen()),
    };
    static #WITH_PICTURE = {
      clearMask: (canvas) => canvas.#rewritten("mask", (pixels) => pixels.fill(0)),
      clearSketch: (canvas) => canvas.#rewritten("sketch", (pixels) => pixels.fill(0)),
      invertMask: (canvas) => canvas.#rewritten("mask", (pixels) => {
        for (let at = 0; at < pixels.length; at++) pixels[at] = 255 - pixels[at];
      }),
      clearAll: (canvas) => canvas.#emptied(),
      chooseMask: ({ panel }) => panel.choose("mask"),
      downloadMask: (canvas) => canvas.#reported(canvas.#downloadMask()),
      zoomIn: ({ view }) => view.zoom(1.25),
      zoomOut: ({ view }) => view.zoom(0.8),
      fit: ({ view }) => view.fit(),
      actual: ({ view }) => view.actual(),
    };

    #props = null;
    #trigger = () => {};
    #shown = ""; // the value that is on the page, as JSON
    #turn = 0; // of opening pictures: only the last one counts
    #opening = Promise.resolve();
    #unsaved = new Set();
    #saveTimer = 0;

    // `limits`: the most bytes and pixels that the server takes, and a blank canvas's first size.
    constructor(name, tools, limits) {
      Object.assign(this, { tools, limits, document: null, tool: "mask", layerKind: "mask", colour: [38, 110, 214] });
      const brush = { size: 0, softness: 0.3, opacity: 1 };
      this.brushes = { mask: { ...brush }, sketch: { ...brush, softness: 0.15 }, eraser: { ...brush } };
      this.brushTool = "mask"; // the brush in hand, also while picking and moving
      this.history = new History();
      this.memory = new Memory(name);
      this.panel = new Panel(this, tools);
      const moved = () => { this.panel.moved(); this.hand?.refreshRing(); };
      this.view = new View(this.panel.surface, { margin: tools ? 16 : 0, moved });
      if (tools) this.hand = new Hand(this);
      window.addEventListener("pagehide", () => this.#save());
      document.addEventListener("visibilitychange", () => document.hidden && this.#save());
      this.panel.update();
      this.#opening = this.#restore(++this.#turn);
    }

    get brush() { return this.brushes[this.brushTool]; }

    // The page makes our place, and may make it anew: the canvas moves in as it is.
    attach({ element, props, trigger, watch }) {
      this.#props = props;
      this.#trigger = trigger;
      element.querySelector(".paint-place").replaceChildren(this.panel.root);
      watch("value", () => this.#valueSet(props.value));
      if (props.value) this.#valueSet(props.value);
    }

    act(name) {
      this.hand?.rest();
      const action = PaintCanvas.#ALWAYS[name] ?? (this.document && PaintCanvas.#WITH_PICTURE[name]);
      action?.(this);
    }

    choose(tool) {
      this.hand?.rest();
      this.tool = tool;
      if (tool in this.brushes) this.brushTool = tool;
      if (tool === "mask" || tool === "sketch") this.layerKind = tool;
      this.#brushesChanged();
    }

    setBrush(changes) {
      Object.assign(this.brush, changes);
      if (changes.size !== undefined) this.brush.size = Math.min(MAX_BRUSH_PX, Math.max(1, changes.size));
      this.#brushesChanged();
    }

    setColour(colour) {
      this.colour = colour;
      this.#brushesChanged();
    }

    shows(what, shown) {
      this.view.shows[what] = shown;
      this.view.redraw();
    }

    // What the hand does

    newStroke() {
      const { document: picture, layerKind, brush, colour, tool } = this;
      picture.coverage ??= new Uint8Array(picture.width * picture.height);
      this.#makeVisible(layerKind);
      return new Stroke(picture[layerKind], { ...brush, colour, erase: tool === "eraser" }, picture.coverage);
    }

    // A layer's pixels have changed within the box (null: nowhere).
    touched(layer, box) {
      if (!box) return;
      this.view.changed(layer, box);
      this.#keep(layer.kind);
    }

    drawn(change) {
      if (!change) return;
      this.history.push({ bytes: change.bytes, swap: () => this.touched(change.layer, change.swap()) });
      this.panel.update();
      this.#trigger("input");
    }

    pickAt({ x, y }) {
      const { document: picture, view } = this;
      const [column, row] = [Math.floor(x), Math.floor(y)];
      if (column < 0 || row < 0 || column >= picture.width || row >= picture.height) return;
      const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
      context.fillStyle = "#ffffff";
      context.fillRect(0, 0, 1, 1);
      if (view.shows.picture) context.drawImage(picture.bitmap, -column, -row);
      const under = context.getImageData(0, 0, 1, 1).data;
      const at = (row * picture.width + column) * 4;
      const [red, green, blue, alpha] = picture.sketch.data?.subarray(at, at + 4) ?? [0, 0, 0, 0];
      const part = view.shows.sketch ? alpha / 255 : 0;
      this.setColour([red, green, blue].map((over, index) => Math.round(under[index] * (1 - part) + over * part)));
    }

    // A file that a person has chosen, dropped or pasted: for the picture, or for its mask.
    take(file, purpose = "picture") {
      this.#reported(purpose === "mask" ? this.#openMask(file) : this.#open(() => new Sent(file)));
    }

    makeBlank(width, height, colour) {
      this.#reported(this.#open(async () => new Sent(await colourPng(width, height, colour))));
    }

    // What is on the canvas, when it has reached the server. If it can't get there, the canvas says why, and the
    // promise is rejected.
    async flush() {
      await this.#opening;
      const { document: picture } = this;
      try {
        const value = picture ? await picture.value() : EMPTY;
        if (picture === this.document) this.#publish(value);
        return { ...value };
      } catch (error) {
        this.#sayError(error);
        throw error;
      }
    }

    // Where the picture's first pixel is on the page, and how large a pixel is there, in CSS pixels.
    placement() {
      const rect = this.panel.surface.getBoundingClientRect();
      const { left, top, scale } = this.view;
      return { left: rect.left + left, top: rect.top + top, scale };
    }

    // The component's value

    #publish(value) {
      this.#shown = JSON.stringify(value);
      if (this.#props && JSON.stringify(this.#props.value) !== this.#shown) this.#props.value = { ...value };
    }

    // The app has set a value: a picture to show without layers, or nothing.
    #valueSet(value) {
      if (JSON.stringify(value) === this.#shown) return;
      const id = value && typeof value === "object" ? value.image : null;
      if (id) this.#reported(this.#open(() => Sent.of(id)));
      else this.#emptied();
    }

    // What has been opened is on the page with its size only, until an event asks for the rest.
    #publishOpened() {
      const { document: picture } = this;
      if (!picture) return this.#publish(EMPTY);
      this.#publish({ ...EMPTY, image: picture.sent.id, width: picture.width, height: picture.height });
    }

    // Opening

    #open(sent) {
      const turn = ++this.#turn;
      const opened = this.#opened(sent, turn);
      this.#opening = opened.catch(() => {}); // whoever opens it is told; a flush only waits for the end
      return opened;
    }

    async #opened(sent, turn) {
      const picture = await Picture.of(await sent(), this.limits, this.tools);
      if (turn === this.#turn) this.#replace(picture);
    }

    #emptied() {
      this.#turn += 1;
      this.#replace(null);
    }

    async #openMask(file) {
      const picture = this.document;
      const { values, width, height } = await maskValues(file).catch((error) => {
        throw new CanvasError("This is no picture that can be opened as a mask.", { cause: error });
      });
      if (picture !== this.document) return;
      if (width !== picture.width || height !== picture.height) {
        const sizes = `The mask is ${width} × ${height}, the picture ${picture.width} × ${picture.height}`;
        throw new CanvasError(`${sizes}: they have to be of one size.`);
      }
      this.#rewritten("mask", (pixels) => pixels.set(values));
    }

    async #downloadMask() {
      const { mask } = this.document;
      const url = URL.createObjectURL(await encodedPng(mask.pixels(), mask.width, mask.height, 1));
      Object.assign(document.createElement("a"), { href: url, download: "mask.png" }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    }

    // Changing

    // Another picture, or none. It can be undone, strokes and all.
    #replace(picture) {
      this.hand?.rest();
      const before = this.document;
      this.panel.say("");
      if (!picture && !before) return;
      let held = before;
      const swap = () => {
        const now = this.document;
        this.#show(held);
        held = now;
      };
      this.history.push({ bytes: before?.bytes ?? 0, swap });
      this.#show(picture);
    }

    #show(picture) {
      this.document = picture;
      if (picture) {
        const shorter = Math.min(picture.width, picture.height);
        for (const brush of Object.values(this.brushes)) brush.size ||= Math.max(4, Math.round(shorter * BRUSH_PART));
      }
      this.view.show(picture);
      this.panel.update();
      this.#keep("picture", "sketch", "mask");
      this.#publishOpened();
      if (picture) this.#trigger("upload", { width: picture.width, height: picture.height });
      else this.#trigger("clear");
    }

    #rewritten(kind, write) {
      const layer = this.document[kind];
      const change = new Change(layer).keepAll();
      write(layer.pixels());
      layer.changed();
      this.#makeVisible(kind);
      this.touched(layer, layer.whole());
      this.drawn(change);
    }

    #stepped(done) {
      if (!done) return;
      this.panel.update();
      this.#trigger("input");
    }

    #brushesChanged() {
      this.panel.update();
      this.hand?.toolChanged();
      this.#keep("brushes");
    }

    // Nobody draws on a layer that can't be seen.
    #makeVisible(kind) {
      if (this.view.shows[kind]) return;
      this.shows(kind, true);
      this.panel.update();
    }

    // Remembering

    async #restore(turn) {
      try {
        const { picture, sketch, mask, brushes } = await this.memory.read();
        if (brushes && this.tools) Object.assign(this, { ...brushes, tool: brushes.brushTool });
        if (!picture) return;
        const shown = new Picture(new Sent(picture), await createImageBitmap(picture));
        for (const [layer, data] of [[shown.sketch, sketch], [shown.mask, mask]]) {
          if (data?.length === layer.width * layer.height * layer.channels) layer.pixels().set(data);
        }
        if (turn !== this.#turn) return;
        this.#show(shown);
        this.#unsaved.clear(); // it is what was saved
      } catch (error) {
        this.#notRemembered(error);
      } finally {
        this.panel.update();
        this.hand?.toolChanged();
      }
    }

    #keep(...parts) {
      for (const part of parts) this.#unsaved.add(part);
      clearTimeout(this.#saveTimer);
      this.#saveTimer = setTimeout(() => this.#save(), SAVE_MS);
    }

    #save() {
      clearTimeout(this.#saveTimer);
      if (this.#unsaved.size === 0) return;
      const { document: picture, brushes, brushTool, layerKind, colour } = this;
      const contents = {
        picture: picture?.sent.blob ?? null,
        sketch: picture?.sketch.data ?? null,
        mask: picture?.mask.data ?? null,
        brushes: { brushes, brushTool, layerKind, colour },
      };
      const parts = Object.fromEntries([...this.#unsaved].map((part) => [part, contents[part]]));
      this.#unsaved.clear();
      this.memory.write(parts).catch((error) => this.#notRemembered(error));
    }

    // Storage can be switched off or full; then a reload forgets the drawing, and everything else works.
    #notRemembered(error) { this.panel.say(`A reload will forget this drawing: ${error.message}`, true); }

    #reported(promise) { promise.catch((error) => this.#sayError(error)); }

    #sayError(error) {
      if (!(error instanceof CanvasError)) console.error(error);
      this.panel.say(error instanceof CanvasError ? error.message : `That went wrong: ${error.message}`, true);
    }
  }

  // By name, for as long as the page lives: a tab that is made anew finds its canvas again.
  const canvases = new Map();

  function mountAll() {
    for (const place of (window.paintdiffCanvases ?? []).splice(0)) {
      const { name, tools, ...figures } = place.element.querySelector(".paint-place").dataset;
      const limits = {
        bytes: Number(figures.mostBytes),
        pixels: Number(figures.mostPixels),
        blank_width: Number(figures.blankWidth),
        blank_height: Number(figures.blankHeight),
      };
      if (!canvases.has(name)) canvases.set(name, new PaintCanvas(name, Boolean(tools), limits));
      canvases.get(name).attach(place);
    }
  }

  const flush = async (name) => canvases.get(name)?.flush() ?? { ...EMPTY };
  const placement = (name) => canvases.get(name).placement();

  mountAll();
  return { mountAll, flush, placement };
})());
