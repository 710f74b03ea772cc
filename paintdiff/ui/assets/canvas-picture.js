// The picture on a canvas, with its layers; how a file becomes one, and how its parts reach the server.
"use strict";

Object.assign(window.paintdiff.canvas, (() => {
  const { Layer, encodedPng, kindOf, reencoded } = window.paintdiff.canvas;
  const { messages } = window.paintdiff;
  const SEND_TIMEOUT_MS = 120_000;
  const MAX_PAINTED_PIXELS = 40_000_000; // a layer takes eight bytes a pixel

  // Its message is for the person in front of the canvas.
  class CanvasError extends Error {}

  async function fetched(url, options) {
    try {
      return await fetch(url, { ...options, cache: "no-store", signal: AbortSignal.timeout(SEND_TIMEOUT_MS) });
    } catch (error) {
      throw new CanvasError(messages.DRAWING_NOT_SENT, { cause: error });
    }
  }

  // What the server says, as JSON; its guard refuses in plain words.
  function parsed(text) {
    try { return JSON.parse(text); } catch { return { detail: text }; }
  }

  const uploadUrl = (id) => `uploads/${encodeURIComponent(id)}`;

  // A file that the server is to have: sent when it is first asked for, and again if the server has forgotten it.
  class Sent {
    constructor(blob, id = null) { Object.assign(this, { blob, id, answer: null, bytes: null }); }

    // Reads it into memory: the file on the disk may change or go, and what is kept over a reload has to be written
    // while the page is closing, when there is no time left to read.
    async held() {
      this.bytes = await this.blob.arrayBuffer();
      this.blob = new Blob([this.bytes], { type: this.blob.type });
      return this;
    }

    // The file that the server knows by that id.
    static async of(id) {
      const answer = await fetched(uploadUrl(id), {});
      if (!answer.ok) throw new CanvasError(messages.APP_RESTARTED);
      return new Sent(await answer.blob(), id);
    }

    // The id by which the server knows the file now.
    async known() {
      if (this.id && (await fetched(uploadUrl(this.id), { method: "HEAD" })).ok) return this.id;
      const answer = await fetched("uploads", { method: "POST", body: this.blob });
      const said = parsed(await answer.text());
      if (!answer.ok) {
        throw new CanvasError(typeof said.detail === "string" ? said.detail : messages.DRAWING_REFUSED);
      }
      this.answer = said;
      this.id = said.id;
      return this.id;
    }
  }

  // What has pixels for the server, by the name under which the page's events ask for them.
  const senders = new Map();
  const flush = async (name) => (await senders.get(name)?.flush()) ?? null;

  class Picture {
    constructor(sent, bitmap) {
      Object.assign(this, { sent, bitmap, width: bitmap.width, height: bitmap.height });
      this.sketch = new Layer("sketch", this.width, this.height);
      this.mask = new Layer("mask", this.width, this.height);
      this.coverage = null;
      this.origin = ""; // what has brought it, if that is known
    }

    get shorter() { return Math.min(this.width, this.height); }

    // Whether light strokes are seen better on it than dark ones.
    get dark() {
      const context = whiteSheet(8);
      context.drawImage(this.bitmap, 0, 0, 8, 8);
      const { data } = context.getImageData(0, 0, 8, 8);
      return data.reduce((sum, value, at) => sum + (at % 4 < 3 ? value : 0), 0) < 64 * 3 * 100;
    }

    // The colour [red, green, blue] that is seen at a pixel, of the layers that are shown; null beside the picture.
    colourAt(column, row, shows) {
      if (column < 0 || row < 0 || column >= this.width || row >= this.height) return null;
      const context = whiteSheet(1);
      if (shows.picture) context.drawImage(this.bitmap, -column, -row);
      const under = context.getImageData(0, 0, 1, 1).data;
      const at = (row * this.width + column) * 4;
      const [red, green, blue, alpha] = this.sketch.data?.subarray(at, at + 4) ?? [0, 0, 0, 0];
      const part = shows.sketch ? alpha / 255 : 0;
      return [red, green, blue].map((over, index) => Math.round(under[index] * (1 - part) + over * part));
    }

    // A file as a picture. `limits` are those of the component; `painted` says whether it will be painted on.
    static async of(sent, limits, painted) {
      const most = painted ? Math.min(MAX_PAINTED_PIXELS, limits.pixels) : limits.pixels;
      const { readable, pixels } = await kindOf(sent.blob);
      checkPixels(pixels, most, painted); // before it is decoded
      const bitmap = await decoded(sent.blob);
      checkPixels(bitmap.width * bitmap.height, most, painted);
      const file = await (readable ? sent : new Sent(await reencoded(bitmap))).held();
      if (!file.id && file.blob.size > limits.bytes) {
        const [size, limit] = [file.blob.size, limits.bytes].map(window.paintdiff.byteSize);
        throw new CanvasError(messages.fileTooLarge(size, limit));
      }
      return new Picture(file, bitmap);
    }

    // How much it takes in the history, roughly.
    get bytes() {
      return this.width * this.height * 4 + (this.sketch.data?.length ?? 0) + (this.mask.data?.length ?? 0);
    }

    // The canvas's value, once all of it has reached the server. The pixels are those of the moment of the call.
    async value() {
      const [image, sketch, mask] = await Promise.all([this.#pictureId(), layerId(this.sketch), layerId(this.mask)]);
      return { image, sketch, mask, width: this.width, height: this.height };
    }

    async #pictureId() {
      const id = await this.sent.known();
      const { answer } = this.sent;
      if (!answer || (answer.width === this.width && answer.height === this.height)) return id;
      // Browser and server don't agree on which way up it is: what is seen counts.
      this.sent = await new Sent(await reencoded(this.bitmap)).held();
      return this.sent.known();
    }
  }

  function whiteSheet(side) {
    const context = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, side, side);
    return context;
  }

  async function layerId(layer) {
    if (layer.isEmpty()) return null;
    if (layer.sent?.version !== layer.version) {
      const png = encodedPng(layer.data, layer.width, layer.height, layer.channels);
      layer.sent = { version: layer.version, file: png.then((blob) => new Sent(blob)) };
    }
    return (await layer.sent.file).known();
  }

  async function decoded(blob) {
    try {
      return await createImageBitmap(blob);
    } catch (error) {
      throw new CanvasError(messages.CANNOT_OPEN, { cause: error });
    }
  }

  function checkPixels(count, most, painted) {
    if (count <= most) return;
    const [has, limit] = [count, most].map((pixels) => (pixels / 1e6).toFixed(1));
    throw new CanvasError(messages.tooManyPixels(has, limit, painted));
  }

  return { CanvasError, Sent, Picture, senders, flush, decoded, checkPixels };
})());
