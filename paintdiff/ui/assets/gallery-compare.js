// Pictures side by side: what is seen of one is seen of all, and the settings in which they differ are below.
"use strict";

window.paintdiff.GalleryCompare = (() => {
  const MOST = 32; // times the size at which a picture fits in
  const PAN_PART = 0.1, WHEEL_PART = 0.0016;
  const { ask, url, times, element, button, closeOutside } = window.paintdiff.galleryTools;
  const { messages } = window.paintdiff;
  const between = (low, value, high) => Math.min(high, Math.max(low, value));

  // A picture within its view. `look` is shared by all: {scale, x, y}, the last two as parts of the picture.
  class Pane {
    constructor(picture, look, changed) {
      Object.assign(this, { look, changed });
      this.root = element("figure", "compare-pane");
      this.view = element("div", "compare-view");
      this.image = element("img");
      this.image.alt = picture.prompt || messages.THE_PICTURE;
      this.image.draggable = false;
      this.image.src = url(picture.id, "file");
      this.image.addEventListener("load", () => this.draw());
      this.image.addEventListener("error", () => this.root.classList.add("missing"));
      this.view.append(this.image);
      this.root.append(this.view, element("figcaption", "", times(picture)));
      this.fingers = new Map();
      this.view.addEventListener("wheel", (event) => {
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY * WHEEL_PART), event);
      }, { passive: false });
      for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
        this.view.addEventListener(name, (event) => this.#pointed(event));
      }
      this.view.addEventListener("dblclick", (event) => this.#toggle(event));
    }

    get #measures() {
      const { naturalWidth: width, naturalHeight: height } = this.image;
      const { clientWidth, clientHeight } = this.view;
      const scale = Math.min(clientWidth / width, clientHeight / height) * this.look.scale;
      return { wide: width * scale, high: height * scale, clientWidth, clientHeight };
    }

    draw() {
      if (!this.image.naturalWidth || !this.view.clientWidth) return;
      const { wide, high, clientWidth, clientHeight } = this.#measures;
      const along = (part, side, room) => (side <= room ? (room - side) / 2 : between(room - side, room / 2 - part * side, 0));
      const [left, top] = [along(this.look.x, wide, clientWidth), along(this.look.y, high, clientHeight)];
      Object.assign(this.image.style, { width: `${wide}px`, height: `${high}px`, transform: `translate(${left}px, ${top}px)` });
    }

    // Around a point of the page; what is there stays there.
    zoom(factor, { clientX, clientY }) {
      const { look, view } = this;
      const { left, top } = view.getBoundingClientRect();
      const { wide, high, clientWidth, clientHeight } = this.#measures;
      const scale = between(1, look.scale * factor, MOST);
      const grown = scale / look.scale;
      const [x, y] = [clientX - left - clientWidth / 2, clientY - top - clientHeight / 2];
      look.x = between(0, look.x + (x / wide) * (1 - 1 / grown), 1);
      look.y = between(0, look.y + (y / high) * (1 - 1 / grown), 1);
      look.scale = scale;
      this.changed();
    }

    pan(x, y) {
      const { wide, high } = this.#measures;
      this.look.x = between(0, this.look.x - x / wide, 1);
      this.look.y = between(0, this.look.y - y / high, 1);
      this.changed();
    }

    #toggle(event) {
      if (this.look.scale > 1) Object.assign(this.look, { scale: 1, x: 0.5, y: 0.5 });
      else return this.zoom(4, event);
      this.changed();
    }

    #pointed(event) {
      const { fingers } = this;
      if (event.type === "pointerup" || event.type === "pointercancel") return fingers.delete(event.pointerId);
      const before = [...fingers.values()];
      const last = fingers.get(event.pointerId);
      if (event.type === "pointermove" && !last) return;
      fingers.set(event.pointerId, { clientX: event.clientX, clientY: event.clientY });
      if (event.type === "pointerdown") return this.view.setPointerCapture(event.pointerId);
      if (fingers.size === 1) return this.pan(event.clientX - last.clientX, event.clientY - last.clientY);
      const now = [...fingers.values()];
      const apart = ([one, other]) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      const middle = { clientX: (now[0].clientX + now[1].clientX) / 2, clientY: (now[0].clientY + now[1].clientY) / 2 };
      if (apart(before) > 0) this.zoom(apart(now) / apart(before), middle);
    }
  }

  return class Compare {
    #panes = [];
    #look = { scale: 1, x: 0.5, y: 0.5 };

    constructor(dialog) {
      this.dialog = dialog;
      closeOutside(dialog);
      new ResizeObserver(() => this.#draw()).observe(dialog);
      dialog.addEventListener("keydown", (event) => this.#pressed(event));
      dialog.addEventListener("close", () => {
        dialog.querySelector(".compare-panes").replaceChildren();
        this.#panes = [];
      });
    }

    async show(pictures, open) {
      Object.assign(this.#look, { scale: 1, x: 0.5, y: 0.5 });
      this.#panes = pictures.map((each) => new Pane(each, this.#look, () => this.#draw()));
      pictures.forEach((each, index) => {
        const look = button("gallery-button", messages.OPEN, () => { this.dialog.close(); open(each); });
        look.setAttribute("aria-label", messages.openPicture(index + 1));
        this.#panes[index].root.querySelector("figcaption").append(look);
      });
      this.dialog.style.setProperty("--panes", pictures.length);
      this.dialog.querySelector(".compare-panes").replaceChildren(...this.#panes.map(({ root }) => root));
      this.#say([]);
      this.dialog.showModal();
      this.#draw();
      try {
        const found = differences(await Promise.all(pictures.map(({ id }) => ask(url(id)))));
        const { without } = this.dialog.querySelector("table").dataset;
        this.#say(found.filter(([label]) => label !== without));
      } catch (error) {
        this.#say([[messages.SETTINGS_UNKNOWN, [error.message]]]);
      }
    }

    #say(rows) {
      const table = this.dialog.querySelector("table");
      table.replaceChildren(...rows.map(([label, values]) => {
        const row = element("tr");
        row.append(element("th", "", label), ...values.map((each) => element("td", "", each)));
        row.firstChild.scope = "row";
        return row;
      }));
    }

    act(name) {
      const [pane] = this.#panes;
      if (!pane) return;
      const { left, top, width, height } = pane.view.getBoundingClientRect();
      const middle = { clientX: left + width / 2, clientY: top + height / 2 };
      if (name === "fit") {
        Object.assign(this.#look, { scale: 1, x: 0.5, y: 0.5 });
        this.#draw();
      } else {
        pane.zoom(name === "larger" ? 1.5 : 1 / 1.5, middle);
      }
    }

    #draw() { for (const pane of this.#panes) pane.draw(); }

    #pressed(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const pans = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
      const acts = { "+": "larger", "=": "larger", "-": "smaller", 0: "fit" };
      const [pane] = this.#panes;
      if (event.key in pans && event.target.closest(".compare-settings")) return; // it scrolls
      if (event.key in pans && pane) {
        const [x, y] = pans[event.key];
        pane.pan(x * pane.view.clientWidth * PAN_PART, y * pane.view.clientHeight * PAN_PART);
      } else if (event.key in acts) {
        this.act(acts[event.key]);
      } else {
        return;
      }
      event.preventDefault();
    }
  };

  // The settings that aren't the same for all, as [label, values].
  function differences(all) {
    const tables = all.map((each) => new Map([
      [messages.PROMPT, each.prompt], [messages.NEGATIVE_PROMPT, each.negative_prompt], ...each.settings,
    ]));
    const labels = [...new Set(tables.flatMap((each) => [...each.keys()]))];
    return labels
      .map((label) => [label, tables.map((each) => each.get(label) ?? "")])
      .filter(([, values]) => new Set(values).size > 1);
  }
})();
