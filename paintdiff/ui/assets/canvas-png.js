// Picture files: written exactly from arrays, and looked at before they are opened.
"use strict";

Object.assign(window.paintdiff.canvas, (() => {
  const COLOUR_TYPES = { 1: 0, 3: 2, 4: 6 }; // channels -> PNG's number for grey, RGB, RGBA
  const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

  const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    return value;
  });

  function chunk(type, content) {
    const bytes = new Uint8Array(12 + content.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, content.length);
    for (let index = 0; index < 4; index++) bytes[4 + index] = type.charCodeAt(index);
    bytes.set(content, 8);
    let sum = 0xffffffff;
    for (let index = 4; index < bytes.length - 4; index++) sum = CRC_TABLE[(sum ^ bytes[index]) & 255] ^ (sum >>> 8);
    view.setUint32(bytes.length - 4, ~sum >>> 0);
    return bytes;
  }

  // A PNG of 8 bits a channel: grey, RGB, or RGBA with straight alpha. The pixels are those of the moment of the call.
  async function encodedPng(data, width, height, channels) {
    const stride = width * channels;
    const lines = new Uint8Array((stride + 1) * height); // each line begins with its filter: 0, none
    for (let y = 0; y < height; y++) lines.set(data.subarray(y * stride, (y + 1) * stride), y * (stride + 1) + 1);
    const packed = new Blob([lines]).stream().pipeThrough(new CompressionStream("deflate"));
    const header = new Uint8Array(13);
    const view = new DataView(header.buffer);
    view.setUint32(0, width);
    view.setUint32(4, height);
    header.set([8, COLOUR_TYPES[channels], 0, 0, 0], 8);
    const content = new Uint8Array(await new Response(packed).arrayBuffer());
    const parts = [SIGNATURE, chunk("IHDR", header), chunk("IDAT", content), chunk("IEND", new Uint8Array(0))];
    return new Blob(parts, { type: "image/png" });
  }

  function colourPng(width, height, [red, green, blue]) {
    const data = new Uint8Array(width * height * 3);
    for (let at = 0; at < data.length; at += 3) data.set([red, green, blue], at);
    return encodedPng(data, width, height, 3);
  }

  // Whether the file is one of the three kinds that the server reads, and the pixels that a PNG says it has.
  async function kindOf(blob) {
    const start = new Uint8Array(await blob.slice(0, 24).arrayBuffer());
    const text = String.fromCharCode(...start);
    if (text.startsWith("\x89PNG\r\n\x1a\n") && start.length === 24) {
      const view = new DataView(start.buffer);
      return { readable: true, pixels: view.getUint32(16) * view.getUint32(20) };
    }
    const readable = text.startsWith("\xff\xd8\xff") || (text.startsWith("RIFF") && text.slice(8, 12) === "WEBP");
    return { readable, pixels: 0 };
  }

  function drawn(bitmap) {
    const sheet = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = sheet.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    return { sheet, context };
  }

  // A picture of another kind (GIF, AVIF, BMP…) as a PNG.
  const reencoded = (bitmap) => drawn(bitmap).sheet.convertToBlob({ type: "image/png" });

  // A picture as mask values: its brightness as Pillow's mode L has it; where it is transparent nothing is masked.
  async function maskValues(blob) {
    const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
    const { width, height } = bitmap;
    const rgba = drawn(bitmap).context.getImageData(0, 0, width, height).data;
    const values = new Uint8ClampedArray(width * height);
    for (let index = 0; index < values.length; index++) {
      const at = index * 4;
      const grey = (rgba[at] * 19595 + rgba[at + 1] * 38470 + rgba[at + 2] * 7471 + 0x8000) >> 16;
      values[index] = (grey * rgba[at + 3]) / 255;
    }
    return { values, width, height };
  }

  return { encodedPng, colourPng, kindOf, reencoded, maskValues };
})());
