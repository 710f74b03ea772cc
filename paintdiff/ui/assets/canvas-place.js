// Where a picture lies in its room on the page, and how it is moved and scaled there: a canvas's, or a viewer's.
// A length is in pixels of the picture or of the page (CSS pixels); names say which.
"use strict";

Object.assign(window.paintdiff.canvas, (() => {
  const MAX_SCALE = 32;
  const REACH_PX = 48; // so much of the picture always stays in sight

  const middle = ([one, other]) => ({ x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 });
  const apart = ([one, other]) => Math.max(1, Math.hypot(one.x - other.x, one.y - other.y));

  class Place {
    // `surface` fills the room. `moved` is called when the picture has moved or been scaled.
    constructor(surface, { margin = 0, moved = () => {} } = {}) {
      Object.assign(this, { surface, margin, moved });
      this.document = null; // what lies there: anything with a width and a height
      this.scale = 1;
      this.left = 0;
      this.top = 0;
      this.width = 0;
      this.height = 0;
      this.fitted = true;
      new ResizeObserver(() => this.resized()).observe(surface);
    }

    // For those that draw.
    redraw() {}

    // The largest and the smallest scale, in CSS pixels for a pixel of the picture.
    get most() { return MAX_SCALE; }
    get least() { return Math.min(this.#filling() / 4, 1); }

    // Where the picture may really lie if it is to lie there.
    held(scale, left, top) {
      const { document, width, height } = this;
      return {
        left: Math.min(width - REACH_PX, Math.max(REACH_PX - document.width * scale, left)),
        top: Math.min(height - REACH_PX, Math.max(REACH_PX - document.height * scale, top)),
      };
    }

    show(document) {
      const before = this.document;
      this.document = document;
      if (!document) this.fitted = true;
      else if ((before?.width !== document.width || before?.height !== document.height)) this.fit();
      this.redraw();
    }

    // The tab that we are in may be hidden; then nothing moves.
    resized() {
      const { clientWidth: width, clientHeight: height } = this.surface;
      if (width === 0 || height === 0) return;
      const { width: before, height: beforeHeight } = this;
      this.width = width;
      this.height = height;
      if (this.fitted || before === 0) this.fit();
      else this.#put(this.scale, this.left + (width - before) / 2, this.top + (height - beforeHeight) / 2);
      this.redraw();
    }

    fit() {
      const { document, width, height } = this;
      if (!document || width === 0) return;
      const scale = Math.min(this.#filling(this.margin), this.most);
      this.#put(scale, (width - document.width * scale) / 2, (height - document.height * scale) / 2, true);
    }

    // One pixel of the picture is one of the device: nothing is smoothed, and none hides.
    actual(clientX, clientY) { this.zoom(1 / (window.devicePixelRatio * this.scale), clientX, clientY); }

    // Scales around a point of the page; around the middle if none is given.
    zoom(factor, clientX, clientY) {
      const rect = this.surface.getBoundingClientRect();
      const x = clientX === undefined ? this.width / 2 : clientX - rect.left;
      const y = clientY === undefined ? this.height / 2 : clientY - rect.top;
      const scale = Math.min(this.most, Math.max(this.least, this.scale * factor));
      const real = scale / this.scale;
      this.#put(scale, x - (x - this.left) * real, y - (y - this.top) * real);
    }

    pan(dx, dy) { this.#put(this.scale, this.left + dx, this.top + dy); }

    // Two fingers, from where they were ([{x, y}, {x, y}]) to where they are.
    pinch(before, after) {
      const [from, to] = [middle(before), middle(after)];
      this.pan(to.x - from.x, to.y - from.y);
      this.zoom(apart(after) / apart(before), to.x, to.y);
    }

    // A turn of the mouse's wheel.
    wheel(event) {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      const speed = event.ctrlKey ? 0.01 : 0.0015; // a pinch on a trackpad comes as small wheel steps with Ctrl
      this.zoom(Math.exp(-event.deltaY * lines * speed), event.clientX, event.clientY);
    }

    // A point of the page, in pixels of the picture.
    toPicture(clientX, clientY, rect = this.surface.getBoundingClientRect()) {
      return { x: (clientX - rect.left - this.left) / this.scale, y: (clientY - rect.top - this.top) / this.scale };
    }

    // The scale at which the picture just fits into its room.
    #filling(margin = 0) {
      const { document, width, height } = this;
      const room = { width: Math.max(16, width - 2 * margin), height: Math.max(16, height - 2 * margin) };
      return Math.min(room.width / document.width, room.height / document.height);
    }

    #put(scale, left, top, fitted = false) {
      Object.assign(this, { scale, fitted, ...this.held(scale, left, top) });
      this.redraw();
      this.moved();
    }
  }

  return { Place };
})());
