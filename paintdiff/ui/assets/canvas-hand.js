// What pointers and keys do on the canvas: mouse, pen with pressure, one finger to draw and two to move.
"use strict";

Object.assign(window.paintdiff.canvas, (() => {
  const LIGHTEST_PRESSURE = 0.15; // the part of its width that a brush has under the lightest pen
  const TOUCH_GRACE_MS = 400; // a second finger within this time means that the first wasn't to draw
  const KEYS = { m: "mask", b: "sketch", e: "eraser", i: "pick", h: "pan" };
  const ACTIONS = { 0: "fit", 1: "actual", "+": "zoomIn", "=": "zoomIn", "-": "zoomOut", f: "fullScreen" };

  class Hand {
    #fingers = new Map();
    #stroke = null; // {pointer, stroke, last, began, touch}
    #drag = null; // {pointer, x, y}
    #picking = null; // the pointer's id
    #space = false;
    #penSeen = false;

    constructor(canvas) {
      this.canvas = canvas;
      const { surface } = canvas.panel;
      surface.addEventListener("pointerdown", (event) => this.#down(event));
      surface.addEventListener("pointermove", (event) => this.#move(event));
      surface.addEventListener("pointerup", (event) => this.#up(event));
      surface.addEventListener("pointercancel", (event) => this.#up(event));
      surface.addEventListener("pointerleave", () => this.#showRing(null));
      surface.addEventListener("mousedown", (event) => event.button === 1 && event.preventDefault()); // no autoscroll
      surface.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
      window.addEventListener("keydown", (event) => this.#key(event));
      window.addEventListener("keyup", (event) => this.#keyUp(event));
      window.addEventListener("blur", () => this.#setSpace(false));
    }

    // Ends what is being drawn, so that it counts; a picture is about to be replaced, say.
    rest() {
      const drawing = this.#stroke;
      this.#stroke = null;
      if (drawing) this.canvas.drawn(drawing.stroke.end());
    }

    // Pointers

    #down(event) {
      const { canvas } = this;
      if (!canvas.document) return;
      canvas.panel.surface.focus({ preventScroll: true });
      canvas.panel.surface.setPointerCapture(event.pointerId);
      if (event.pointerType === "pen") this.#penSeen = true;
      if (event.pointerType === "touch") {
        this.#fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
        if (this.#fingers.size === 2) this.#leaveTouchStroke(event.timeStamp);
        if (this.#fingers.size > 1) return;
      }
      const palm = event.pointerType === "touch" && this.#penSeen;
      if (event.button === 1 || palm || this.#space || canvas.tool === "pan") {
        this.#drag = { pointer: event.pointerId, x: event.clientX, y: event.clientY };
      } else if (event.button !== 0 || this.#stroke) {
        return;
      } else if (canvas.tool === "pick") {
        this.#picking = event.pointerId;
        canvas.pickAt(this.#point(event));
      } else {
        this.#begin(event);
      }
      this.#showCursor();
    }

    #begin(event) {
      const stroke = this.canvas.newStroke();
      const last = this.#point(event);
      this.#stroke = {
        pointer: event.pointerId, stroke, last, began: event.timeStamp, touch: event.pointerType === "touch",
      };
      this.canvas.touched(stroke.layer, stroke.line(last, last));
    }

    #move(event) {
      this.#showRing(event.pointerType === "touch" ? null : event);
      if (this.#fingers.has(event.pointerId)) {
        const before = [...this.#fingers.values()];
        this.#fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
        if (before.length === 2) return this.canvas.view.pinch(before, [...this.#fingers.values()]);
      }
      if (this.#drag?.pointer === event.pointerId) {
        this.canvas.view.pan(event.clientX - this.#drag.x, event.clientY - this.#drag.y);
        Object.assign(this.#drag, { x: event.clientX, y: event.clientY });
      } else if (this.#picking === event.pointerId) {
        this.canvas.pickAt(this.#point(event));
      } else if (this.#stroke?.pointer === event.pointerId) {
        this.#draw(event);
      }
    }

    #draw(event) {
      const drawing = this.#stroke;
      const rect = this.canvas.panel.surface.getBoundingClientRect();
      const passed = event.getCoalescedEvents?.() ?? [];
      for (const each of passed.length > 0 ? passed : [event]) {
        const next = this.#point(each, rect);
        this.canvas.touched(drawing.stroke.layer, drawing.stroke.line(drawing.last, next));
        drawing.last = next;
      }
    }

    #up(event) {
      this.#fingers.delete(event.pointerId);
      if (this.#drag?.pointer === event.pointerId) this.#drag = null;
      if (this.#picking === event.pointerId) this.#picking = null;
      if (this.#stroke?.pointer === event.pointerId) this.rest();
      this.#showCursor();
    }

    // The first finger has only just begun to draw when the second comes: they mean to move the picture.
    #leaveTouchStroke(now) {
      this.#drag = null;
      const drawing = this.#stroke;
      if (!drawing?.touch) return;
      if (now - drawing.began >= TOUCH_GRACE_MS) return this.rest();
      this.#stroke = null;
      this.canvas.touched(drawing.stroke.layer, drawing.stroke.end()?.swap());
    }

    #wheel(event) {
      const { document: picture, view } = this.canvas;
      if (!picture) return;
      view.wheel(event);
      this.#showRing(event);
    }

    // A point in pixels of the picture, and the brush's radius there.
    #point(event, rect) {
      const { view, brush } = this.canvas;
      const pressed = event.pointerType === "pen" && event.pressure > 0;
      const part = pressed ? LIGHTEST_PRESSURE + (1 - LIGHTEST_PRESSURE) * event.pressure : 1;
      return { ...view.toPicture(event.clientX, event.clientY, rect), radius: (brush.size / 2) * part };
    }

    // The ring is as large as what the brush would cover.
    #showRing(event) {
      const { panel, view, brush, tool, document: picture } = this.canvas;
      const { ring, surface } = panel;
      const hidden = !event || !picture || tool === "pan" || tool === "pick" || this.#space;
      ring.hidden = hidden;
      if (hidden) return;
      const rect = surface.getBoundingClientRect();
      const size = brush.size * view.scale;
      ring.style.width = ring.style.height = `${size}px`;
      const [left, top] = [event.clientX - rect.left - size / 2, event.clientY - rect.top - size / 2];
      ring.style.transform = `translate(${left}px, ${top}px)`;
      this.lastSeen = { clientX: event.clientX, clientY: event.clientY };
    }

    // The brush or the picture has changed under a pointer that hasn't moved.
    refreshRing() {
      if (!this.canvas.panel.ring.hidden) this.#showRing(this.lastSeen);
    }

    #showCursor() {
      const { panel, tool } = this.canvas;
      const moving = this.#space || tool === "pan";
      panel.surface.dataset.cursor = this.#drag ? "grabbing" : moving ? "grab" : tool === "pick" ? "pick" : "draw";
    }

    toolChanged() {
      this.#showCursor();
      this.refreshRing();
    }

    // Keys

    #key(event) {
      const { canvas } = this;
      const written = event.getModifierState("AltGraph"); // how [ and ] are typed on many keyboards
      if (event.defaultPrevented || (event.altKey && !written) || !canvas.panel.isActive()) return;
      if (event.key === " ") {
        if (!canvas.panel.surface.matches(":hover, :focus")) return; // it may be pressing a button
        this.#setSpace(true);
        event.preventDefault();
        return;
      }
      const key = event.key.toLowerCase();
      const done = (event.ctrlKey || event.metaKey) && !written ? this.#command(key, event.shiftKey) : this.#plain(key);
      if (done) event.preventDefault();
    }

    #command(key, shift) {
      if (key !== "z" && key !== "y") return false;
      this.canvas.act(key === "y" || shift ? "redo" : "undo");
      return true;
    }

    #plain(key) {
      const { canvas } = this;
      if (key === "[" || key === "]") {
        const step = Math.max(1, Math.round(canvas.brush.size * 0.15));
        canvas.setBrush({ size: canvas.brush.size + (key === "]" ? step : -step) });
      } else if (KEYS[key]) {
        canvas.choose(KEYS[key]);
      } else if (ACTIONS[key]) {
        canvas.act(ACTIONS[key]);
      } else {
        return false;
      }
      return true;
    }

    #keyUp(event) {
      if (event.key !== " " || !this.#space) return;
      this.#setSpace(false);
      event.preventDefault(); // a button that has the focus isn't pressed by it
    }

    #setSpace(held) {
      if (this.#space === held) return;
      this.#space = held;
      this.#showCursor();
    }
  }

  // Escape closes the canvas's own things first, before the page takes it for Cancel.
  window.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menus = document.querySelectorAll(".paint-canvas details[open]");
    const full = document.querySelector(".paint-canvas.paint-full");
    if (menus.length === 0 && !full && !document.querySelector("dialog.paint-blank[open]")) return;
    event.stopPropagation();
    for (const menu of menus) menu.open = false;
    if (menus.length === 0) full?.classList.remove("paint-full");
  }, true);

  return { Hand };
})());
