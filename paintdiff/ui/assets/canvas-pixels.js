// The canvas's pixels: layers, what a brush does to them, and how that is undone.
// All of it is plain arrays, never read back from a <canvas>: what a canvas gives back has been multiplied by its
// alpha, and some browsers add noise to it. A box is {left, top, right, bottom} in whole pixels of the picture,
// without its right column and its bottom row.
"use strict";

window.paintdiff ??= {};
window.paintdiff.canvas = (() => {
  const TILE_PX = 128;
  const HISTORY_BYTES = 128 * 2 ** 20;
  const CHANNELS = { sketch: 4, mask: 1 };

  function clipped(box, width, height) {
    const within = {
      left: Math.max(0, box.left),
      top: Math.max(0, box.top),
      right: Math.min(width, box.right),
      bottom: Math.min(height, box.bottom),
    };
    return within.left < within.right && within.top < within.bottom ? within : null;
  }

  // The smallest box around both; either may be null.
  function joined(one, other) {
    if (!one || !other) return one ?? other;
    return {
      left: Math.min(one.left, other.left),
      top: Math.min(one.top, other.top),
      right: Math.max(one.right, other.right),
      bottom: Math.max(one.bottom, other.bottom),
    };
  }

  let versions = 0;

  // Colour strokes ("sketch": RGBA, straight alpha) or a mask ("mask": one grey value, 255 = repaint).
  class Layer {
    constructor(kind, width, height) {
      Object.assign(this, { kind, width, height, channels: CHANNELS[kind] });
      this.data = null; // until it is drawn on
      this.version = ++versions; // a new one with every change of the pixels
      this.sent = null; // what the server has of it
    }

    pixels() {
      if (!this.data) {
        const length = this.width * this.height * this.channels;
        this.data = new Uint8ClampedArray(new ArrayBuffer((length + 3) & ~3), 0, length);
      }
      return this.data;
    }

    changed() { this.version = ++versions; }

    isEmpty() {
      if (!this.data) return true;
      const words = new Uint32Array(this.data.buffer);
      for (let index = 0; index < words.length; index++) if (words[index] !== 0) return false;
      return true;
    }

    whole() { return { left: 0, top: 0, right: this.width, bottom: this.height }; }
  }

  // The tiles of a layer as they were before something happened to it. `swap` undoes that, and then redoes it.
  class Change {
    constructor(layer) {
      this.layer = layer;
      this.tiles = new Map();
      this.bytes = 0;
    }

    // One tile, kept unchanged from when it is first read.
    before(column, row) {
      const key = row * 65536 + column;
      let tile = this.tiles.get(key);
      if (!tile) {
        const { layer } = this;
        const left = column * TILE_PX;
        const top = row * TILE_PX;
        const width = Math.min(TILE_PX, layer.width - left);
        const height = Math.min(TILE_PX, layer.height - top);
        tile = { left, top, width, height, data: new Uint8ClampedArray(width * height * layer.channels) };
        this.#exchange(tile, false);
        this.tiles.set(key, tile);
        this.bytes += tile.data.length;
      }
      return tile;
    }

    *within(box) {
      const last = { column: Math.floor((box.right - 1) / TILE_PX), row: Math.floor((box.bottom - 1) / TILE_PX) };
      for (let row = Math.floor(box.top / TILE_PX); row <= last.row; row++) {
        for (let column = Math.floor(box.left / TILE_PX); column <= last.column; column++) {
          yield this.before(column, row);
        }
      }
    }

    // Keeps all of the layer, for what changes all of it.
    keepAll() {
      this.layer.pixels();
      for (const tile of this.within(this.layer.whole())) void tile;
      return this;
    }

    swap() {
      let box = null;
      for (const tile of this.tiles.values()) {
        this.#exchange(tile, true);
        const { left, top, width, height } = tile;
        box = joined(box, { left, top, right: left + width, bottom: top + height });
      }
      this.layer.changed();
      return box;
    }

    #exchange(tile, both) {
      const { layer } = this;
      const pixels = layer.pixels();
      const length = tile.width * layer.channels;
      for (let y = 0; y < tile.height; y++) {
        const from = ((tile.top + y) * layer.width + tile.left) * layer.channels;
        const now = pixels.slice(from, from + length);
        if (both) pixels.set(tile.data.subarray(y * length, (y + 1) * length), from);
        tile.data.set(now, y * length);
      }
    }
  }

  // What can be undone and redone: things with `bytes` and `swap()`. The oldest are forgotten when it gets too much.
  class History {
    #done = [];
    #undone = [];

    get canUndo() { return this.#done.length > 0; }
    get canRedo() { return this.#undone.length > 0; }

    push(change) {
      this.#undone = [];
      this.#done.push(change);
      let bytes = this.#done.reduce((sum, { bytes: each }) => sum + each, 0);
      while (bytes > HISTORY_BYTES && this.#done.length > 1) bytes -= this.#done.shift().bytes;
    }

    undo() { return this.#moved(this.#done, this.#undone); }
    redo() { return this.#moved(this.#undone, this.#done); }

    clear() { this.#done = []; this.#undone = []; }

    #moved(from, to) {
      const change = from.pop();
      if (!change) return false;
      to.push(change);
      change.swap();
      return true;
    }
  }

  // What one pixel becomes: `at` its place in the layer, `was` its place in the tile from before, amount 0..1.
  // Uint8ClampedArray rounds, ties to even.
  const BLENDS = {
    maskPaint: (data, at, before, was, amount) => { data[at] = before[was] + (255 - before[was]) * amount; },
    maskErase: (data, at, before, was, amount) => { data[at] = before[was] * (1 - amount); },
    sketchPaint: (data, at, before, was, amount, colour) => {
      const under = (before[was + 3] / 255) * (1 - amount);
      const alpha = amount + under;
      if (alpha <= 0) return;
      for (let channel = 0; channel < 3; channel++) {
        data[at + channel] = (colour[channel] * amount + before[was + channel] * under) / alpha;
      }
      data[at + 3] = 255 * alpha;
    },
    sketchErase: (data, at, before, was, amount) => {
      data[at + 3] = before[was + 3] * (1 - amount);
      // A pixel that can't be seen has no colour, so that an emptied layer is known to be empty.
      for (let channel = 0; channel < 3; channel++) data[at + channel] = data[at + 3] ? before[was + channel] : 0;
    },
  };

  // One stroke of a brush {erase, colour: [r, g, b], softness: 0..1, opacity: 0..1}. However often it crosses itself,
  // a pixel gets no more than the brush's opacity: `coverage`, one byte a pixel and all zero before and after, is the
  // most that the stroke has covered it with.
  class Stroke {
    constructor(layer, brush, coverage) {
      Object.assign(this, { layer, brush, coverage });
      layer.pixels();
      this.change = new Change(layer);
      this.touched = null;
      this.blend = BLENDS[`${layer.kind}${brush.erase ? "Erase" : "Paint"}`];
    }

    // Draws from one {x, y, radius} to the next and returns the box in which pixels may have changed, or null.
    line(from, to) {
      const length = Math.hypot(to.x - from.x, to.y - from.y);
      // In pieces, or the box around a long diagonal would be mostly empty.
      const pieces = Math.max(1, Math.ceil(length / Math.max(64, 4 * Math.max(from.radius, to.radius))));
      const between = (part) => ({
        x: from.x + (to.x - from.x) * part,
        y: from.y + (to.y - from.y) * part,
        radius: from.radius + (to.radius - from.radius) * part,
      });
      let box = null;
      for (let piece = 0; piece < pieces; piece++) {
        box = joined(box, this.#capsule(between(piece / pieces), between((piece + 1) / pieces)));
      }
      if (box) {
        this.touched = joined(this.touched, box);
        this.layer.changed();
      }
      return box;
    }

    // Returns the change, or null if the stroke went past the picture.
    end() {
      const { touched, coverage, layer } = this;
      if (!touched) return null;
      for (let y = touched.top; y < touched.bottom; y++) {
        coverage.fill(0, y * layer.width + touched.left, y * layer.width + touched.right);
      }
      return this.change;
    }

    #capsule(from, to) {
      const reach = Math.max(from.radius, to.radius) + 0.5;
      const box = clipped({
        left: Math.floor(Math.min(from.x, to.x) - reach),
        top: Math.floor(Math.min(from.y, to.y) - reach),
        right: Math.ceil(Math.max(from.x, to.x) + reach),
        bottom: Math.ceil(Math.max(from.y, to.y) + reach),
      }, this.layer.width, this.layer.height);
      if (box) for (const tile of this.change.within(box)) this.#fill(tile, box, from, to);
      return box;
    }

    // Coverage falls from full to none across the soft band, which is a pixel wide for a hard brush. Distances are
    // from a pixel's centre to the line between the two points.
    #fill(tile, box, from, to) {
      const { coverage, brush: { softness, opacity, colour }, layer: { width, channels, data }, blend } = this;
      const dx = to.x - from.x;
      const dy = to.y - from.y;
      const scale = dx * dx + dy * dy > 0 ? 1 / (dx * dx + dy * dy) : 0;
      const growth = to.radius - from.radius;
      const right = Math.min(box.right, tile.left + tile.width);
      const bottom = Math.min(box.bottom, tile.top + tile.height);
      for (let y = Math.max(box.top, tile.top); y < bottom; y++) {
        const py = y + 0.5 - from.y;
        for (let x = Math.max(box.left, tile.left); x < right; x++) {
          const px = x + 0.5 - from.x;
          const along = Math.min(1, Math.max(0, (px * dx + py * dy) * scale));
          const offX = px - along * dx;
          const offY = py - along * dy;
          const distance2 = offX * offX + offY * offY;
          const reach = from.radius + along * growth + 0.5;
          if (distance2 >= reach * reach) continue;
          const part = (reach - Math.sqrt(distance2)) / Math.max(1, softness * reach);
          const level = part >= 1 ? 255 : Math.round(255 * part * part * (3 - 2 * part));
          const place = y * width + x;
          if (level <= coverage[place]) continue;
          coverage[place] = level;
          const was = ((y - tile.top) * tile.width + (x - tile.left)) * channels;
          blend(data, place * channels, tile.data, was, (level / 255) * opacity, colour);
        }
      }
    }
  }

  return { Layer, Change, History, Stroke, joined };
})();
