// How the picture and its layers are drawn where they lie.
// A length is in pixels of the picture, of the page (CSS pixels) or of the device; names say which.
"use strict";

Object.assign(window.paintdiff.canvas, (() => {
  const { Place, joined } = window.paintdiff.canvas;
  const MARGIN_PX = 16;
  const CHECK_PX = 8;
  const MASK_TINT = { red: 236, green: 52, blue: 92, strength: 0.58 };

  // One layer as the browser can draw it.
  class Sheet {
    constructor(layer) {
      this.layer = layer;
      this.element = new OffscreenCanvas(layer.width, layer.height);
      this.context = this.element.getContext("2d");
      this.stale = layer.data ? layer.whole() : null;
    }

    refresh() {
      const { stale: box, layer } = this;
      if (!box) return;
      this.stale = null;
      const width = box.right - box.left;
      const image = new ImageData(width, box.bottom - box.top);
      for (let y = box.top; y < box.bottom; y++) {
        const from = y * layer.width + box.left;
        const to = (y - box.top) * width;
        if (layer.kind === "sketch") image.data.set(layer.data.subarray(from * 4, (from + width) * 4), to * 4);
        else this.#tint(image.data, layer.data, from, to, width);
      }
      this.context.putImageData(image, box.left, box.top);
    }

    #tint(pixels, mask, from, to, count) {
      for (let index = 0; index < count; index++) {
        const at = (to + index) * 4;
        pixels[at] = MASK_TINT.red;
        pixels[at + 1] = MASK_TINT.green;
        pixels[at + 2] = MASK_TINT.blue;
        pixels[at + 3] = mask[from + index] * MASK_TINT.strength;
      }
    }
  }

  class View extends Place {
    // `surface` is a <canvas> that fills its parent. `moved` is called when the picture has moved or been scaled.
    constructor(surface, { margin = MARGIN_PX, moved } = {}) {
      super(surface, { margin, moved });
      this.context = surface.getContext("2d");
      this.shows = { picture: true, sketch: true, mask: true };
      this.sheets = new WeakMap();
      this.region = null;
      this.frame = 0;
      window.addEventListener("resize", () => this.redraw()); // another screen may have other pixels
    }

    // The layer's pixels have changed within the box.
    changed(layer, box) {
      const sheet = this.#sheet(layer);
      sheet.stale = joined(sheet.stale, box);
      this.redraw(box);
    }

    // Draws what lies in the box, or all, in the browser's next frame.
    redraw(box = null) {
      if (!box) this.region = "all";
      else if (this.region !== "all") this.region = joined(this.region, box);
      this.frame ||= requestAnimationFrame(() => this.#draw());
    }

    #sheet(layer) {
      let sheet = this.sheets.get(layer);
      if (!sheet) this.sheets.set(layer, sheet = new Sheet(layer));
      return sheet;
    }

    #draw() {
      const { surface, context, document, region } = this;
      this.frame = 0;
      this.region = null;
      const ratio = window.devicePixelRatio;
      const width = Math.round(this.width * ratio);
      const height = Math.round(this.height * ratio);
      if (width === 0 || height === 0) return; // it has never been seen yet; `resized` draws it when it is
      let box = region === "all" ? null : region;
      if (surface.width !== width || surface.height !== height) {
        Object.assign(surface, { width, height });
        box = null;
      }
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.save();
      context.beginPath();
      if (box) context.rect(...this.#onDevice(box, ratio));
      else context.rect(0, 0, width, height);
      context.clip();
      context.clearRect(0, 0, width, height);
      if (document) this.#drawDocument(document, ratio);
      context.restore();
    }

    #drawDocument(document, ratio) {
      const { context, scale, shows } = this;
      const { width, height, sketch, mask } = document;
      context.fillStyle = this.#checks();
      const [left, top] = [Math.ceil(this.left * ratio), Math.ceil(this.top * ratio)]; // never beyond the picture
      const right = Math.floor((this.left + width * scale) * ratio);
      context.fillRect(left, top, right - left, Math.floor((this.top + height * scale) * ratio) - top);
      context.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * this.left, ratio * this.top);
      context.imageSmoothingEnabled = ratio * scale < 2;
      if (shows.picture) context.drawImage(document.bitmap, 0, 0, width, height);
      for (const layer of [sketch, mask]) {
        if (!layer.data) continue;
        const sheet = this.#sheet(layer);
        sheet.refresh();
        if (shows[layer.kind]) context.drawImage(sheet.element, 0, 0);
      }
    }

    // What is transparent in the picture shows squares.
    #checks() {
      if (!this.pattern) {
        const tile = new OffscreenCanvas(2 * CHECK_PX, 2 * CHECK_PX);
        const context = tile.getContext("2d");
        context.fillStyle = "#ffffff";
        context.fillRect(0, 0, 2 * CHECK_PX, 2 * CHECK_PX);
        context.fillStyle = "#d8d8d8";
        context.fillRect(0, 0, CHECK_PX, CHECK_PX);
        context.fillRect(CHECK_PX, CHECK_PX, CHECK_PX, CHECK_PX);
        this.pattern = this.context.createPattern(tile, "repeat");
      }
      return this.pattern;
    }

    // A box as x, y, width, height in device pixels, and a little more: smoothing reaches over the edge.
    #onDevice(box, ratio) {
      const factor = this.scale * ratio;
      const edge = Math.ceil(factor) + 2;
      const left = Math.floor(this.left * ratio + box.left * factor) - edge;
      const top = Math.floor(this.top * ratio + box.top * factor) - edge;
      const right = Math.ceil(this.left * ratio + box.right * factor) + edge;
      const bottom = Math.ceil(this.top * ratio + box.bottom * factor) + edge;
      return [left, top, right - left, bottom - top];
    }
  }

  return { View };
})());
