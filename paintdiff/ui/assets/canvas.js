// The canvas as a whole: what is on it, how it gets there, and how it gets to the server.
// `paintdiff.canvas.flush(name)` is what the page's events call; its promise is the component's value.
"use strict";

Object.assign(window.paintdiff.canvas, (() => {
  const { Change, History, Stroke, Panel, View, Hand, Memory, Picture, Sent, CanvasError } = window.paintdiff.canvas;
  const { encodedPng, colourPng, maskValues, senders, MAX_BRUSH_PX } = window.paintdiff.canvas;
  const EMPTY = { image: null, sketch: null, mask: null, width: 0, height: 0 };
  const SAVE_MS = 300; // at the least between two saves, ...
  const SAVE_PART = 0.05; // ... and at the most this part of the page's time goes into them
  const BRUSH_PART = 0.08; // a brush's first size, of the picture's shorter side ...
  const LINE_PART = 0.02; // ... and that of one to draw lines with
  const BLANK_PX = 512; // the shorter side of a blank canvas for a picture, at least
  const [BLACK, WHITE] = [[0, 0, 0], [255, 255, 255]];
  const blanks = new Map(); // sizes of blank canvases, by the canvas's name

  // A component's value to compare; "nothing" has many spellings.
  function asJson(value) { return JSON.stringify(value && value.image ? value : EMPTY); }

  class PaintCanvas {
    // What the bars and keys ask for, by name.
    static #ALWAYS = {
      undo: (canvas) => canvas.#stepped(canvas.history.undo()),
      redo: (canvas) => canvas.#stepped(canvas.history.redo()),
      choosePicture: ({ panel }) => panel.choose("picture"),
      askBlank: ({ panel, document: picture, blank }) => panel.askBlank(picture ?? blank),
      makeBlank: (canvas) => canvas.makeBlank(canvas.blank, WHITE),
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
    #shown = asJson(EMPTY); // the value that is on the page
    #version = 0; // of what is on the canvas: each change counts
    #turn = 0; // of opening pictures: only the last one counts
    #opening = Promise.resolve();
    #unsaved = new Set();
    #saveTimer = 0;
    #saveAt = 0; // not before that, as performance.now() has it
    #saving = 0; // saves under way

    // `masks`: whether it has a mask; without one it is for lines. `limits`: the most bytes and pixels that the server
    // takes, and a blank canvas's first size.
    constructor(name, { tools, masks, limits }) {
      const tool = masks ? "mask" : "sketch";
      Object.assign(this, { name, tools, masks, limits, document: null, tool, layerKind: tool });
      this.colour = masks ? [38, 110, 214] : BLACK;
      const brush = { size: 0, softness: 0.3, opacity: 1 };
      this.brushes = { mask: { ...brush }, sketch: { ...brush, softness: 0.15 }, eraser: { ...brush } };
      this.brushTool = tool; // the brush in hand, also while picking and moving
      this.history = new History();
      this.memory = new Memory(name);
      this.panel = new Panel(this);
      const moved = () => { this.panel.moved(); this.hand?.refreshRing(); };
      this.view = new View(this.panel.surface, { margin: tools ? 16 : 0, moved });
      if (tools) this.hand = new Hand(this);
      window.addEventListener("pagehide", () => this.#save());
      document.addEventListener("visibilitychange", () => document.hidden && this.#save());
      this.panel.update();
      this.#opening = this.#restore(++this.#turn);
    }

    get brush() { return this.brushes[this.brushTool]; }
    get blank() { return blanks.get(this.name) ?? this.limits.blank; }

    // The page makes our place and may rebuild it: the canvas then moves in unchanged.
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
      if (tool === "mask" && !this.masks) return;
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
      this.#tell("input");
    }

    pickAt({ x, y }) {
      const colour = this.document.colourAt(Math.floor(x), Math.floor(y), this.view.shows);
      if (colour) this.setColour(colour);
    }

    // A file that a person has chosen, dropped or pasted: for the picture, or for its mask.
    take(file, purpose = "picture") {
      this.#reported(purpose === "mask" ? this.#openMask(file) : this.#open(() => new Sent(file), "file"));
    }

    makeBlank({ width, height }, colour) {
      this.#reported(this.#open(async () => new Sent(await colourPng(width, height, colour)), "blank"));
    }

    // What is on the canvas, when it has reached the server. If it can't get there, the canvas says why, and the
    // promise is rejected.
    async flush() {
      await this.#opening;
      this.#save();
      const { document: picture, version } = this;
      try {
        const value = picture ? await picture.value() : EMPTY;
        if (picture === this.document) this.#publish(value);
        return { ...value, version };
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

    // What is on the canvas is another thing whenever this is another number.
    get version() { return this.#version; }

    #tell(event, data) {
      this.#version += 1;
      this.panel.surface.dispatchEvent(new CustomEvent("paintdiff-changed", { bubbles: true }));
      this.#trigger(event, data);
    }

    // The component's value

    #publish(value) {
      this.#shown = asJson(value);
      if (this.#props && asJson(this.#props.value) !== this.#shown) this.#props.value = { ...value };
    }

    // The app has set a value: a picture to show without layers, or nothing.
    #valueSet(value) {
      if (asJson(value) === this.#shown) return;
      if (value?.image) this.#reported(this.#open(() => Sent.of(value.image), "app"));
      else this.#emptied();
    }

    // What has been opened is on the page with its size only, until an event asks for the rest.
    #publishOpened() {
      const { document: picture } = this;
      if (!picture) return this.#publish(EMPTY);
      this.#publish({ ...EMPTY, image: picture.sent.id, width: picture.width, height: picture.height });
    }

    // Opening

    // `origin`: what brings the picture: "file", "blank" or "app".
    #open(sent, origin) {
      const turn = ++this.#turn;
      const opened = this.#opened(sent, origin, turn);
      this.#opening = opened.catch(() => {}); // the caller gets the error; a flush only waits for the end
      return opened;
    }

    async #opened(sent, origin, turn) {
      const picture = await Picture.of(await sent(), this.limits, this.tools);
      if (turn !== this.#turn) return;
      const replaced = this.document?.origin ?? "";
      this.#replace(Object.assign(picture, { origin }), { origin, replaced });
    }

    #emptied() {
      this.#turn += 1;
      this.#replace(null);
    }

    async #openMask(file) {
      const picture = this.document;
      const { values, width, height } = await maskValues(file).catch((error) => {
        throw new CanvasError(window.paintdiff.messages.CANNOT_OPEN_MASK, { cause: error });
      });
      if (picture !== this.document) return;
      if (width !== picture.width || height !== picture.height) {
        const sizes = [`${width}x${height}`, `${picture.width}x${picture.height}`];
        throw new CanvasError(window.paintdiff.messages.sizesDiffer(...sizes));
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

    // Another picture, or none. It can be undone, strokes and all. `told` goes with the event.
    #replace(picture, told) {
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
      this.#show(picture, told);
    }

    #show(picture, told = {}) {
      if (picture) this.#fitBrushes(picture, this.document);
      this.document = picture;
      this.view.show(picture);
      this.panel.update();
      this.#keep("picture", "sketch", "mask");
      this.#publishOpened();
      if (!picture) return this.#tell("clear");
      const { width, height } = picture;
      this.#tell("upload", { width, height, ...told, dark: !this.masks && picture.dark });
    }

    // Lines stay as thick as they look from picture to picture, and are drawn in what is seen on it: white or black.
    #fitBrushes(picture, before) {
      for (const [name, brush] of Object.entries(this.brushes)) {
        const part = this.masks || name === "eraser" ? BRUSH_PART : LINE_PART;
        if (!this.masks && before) brush.size *= picture.shorter / before.shorter;
        else brush.size ||= Math.max(this.masks ? 4 : 2, Math.round(picture.shorter * part));
      }
      const plain = [BLACK, WHITE].some((colour) => colour.join() === this.colour.join());
      if (!this.masks && plain) this.colour = picture.dark ? WHITE : BLACK;
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
      this.#tell("input");
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
        const sent = await new Sent(new Blob([picture.bytes], { type: picture.type })).held();
        const shown = new Picture(sent, await createImageBitmap(sent.blob));
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
      if (!this.#saveTimer && !this.#saving) this.#saveSoon();
    }

    #saveSoon() {
      this.#saveTimer = setTimeout(() => this.#save(), Math.max(0, this.#saveAt - performance.now()));
    }

    // At once after a change, and not when the page goes: what a browser begins to write then may get lost.
    #save() {
      clearTimeout(this.#saveTimer);
      this.#saveTimer = 0;
      if (this.#unsaved.size === 0) return;
      const { document: picture, brushes, brushTool, layerKind, colour } = this;
      const contents = {
        picture: picture ? { bytes: picture.sent.bytes, type: picture.sent.blob.type } : null,
        sketch: picture?.sketch.data ?? null,
        mask: picture?.mask.data ?? null,
        brushes: { brushes, brushTool, layerKind, colour },
      };
      const parts = Object.fromEntries([...this.#unsaved].map((part) => [part, contents[part]]));
      this.#unsaved.clear();
      const started = performance.now();
      this.#saving += 1;
      this.memory.write(parts).catch((error) => this.#notRemembered(error)).then(() => {
        this.#saving -= 1;
        if (!this.#saving && this.#unsaved.size > 0) this.#saveSoon();
      });
      const now = performance.now();
      this.#saveAt = now + Math.max(SAVE_MS, (now - started) / SAVE_PART);
    }

    // Storage can be switched off or full; then a reload forgets the drawing, and everything else works.
    #notRemembered(error) { this.panel.say(window.paintdiff.messages.notRemembered(error.message), true); }

    #reported(promise) { promise.catch((error) => this.#sayError(error)); }

    #sayError(error) {
      if (!(error instanceof CanvasError)) console.error(error);
      const { somethingWrong } = window.paintdiff.messages;
      this.panel.say(error instanceof CanvasError ? error.message : somethingWrong(error.message), true);
    }
  }

  // A canvas lives as long as the page: a tab that is rebuilt finds its own again.
  function mountAll() {
    for (const place of (window.paintdiffCanvases ?? []).splice(0)) {
      const { name, tools, masks, ...figures } = place.element.querySelector(".paint-place").dataset;
      const limits = {
        bytes: Number(figures.mostBytes),
        pixels: Number(figures.mostPixels),
        blank: { width: Number(figures.blankWidth), height: Number(figures.blankHeight) },
      };
      const kind = { tools: Boolean(tools), masks: Boolean(masks), limits };
      if (!senders.has(name)) senders.set(name, new PaintCanvas(name, kind));
      senders.get(name).attach(place);
    }
  }

  // A blank canvas is to have the proportions of a picture of that size, and room to draw.
  function blankFor(name, width, height) {
    const scale = Math.ceil(BLANK_PX / Math.min(width, height, BLANK_PX));
    if (width > 0 && height > 0) blanks.set(name, { width: width * scale, height: height * scale });
  }

  const placement = (name) => senders.get(name).placement();
  const version = (name) => senders.get(name).version;

  mountAll();
  return { mountAll, placement, version, blankFor };
})());
