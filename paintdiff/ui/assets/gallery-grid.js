// The grid of the Gallery tab. Only the pictures in sight, and a little around them, are in the document.
"use strict";

window.paintdiff.GalleryGrid = (() => {
  const LEAST_PX = 168, LEAST_PHONE_PX = 104, GAP_PX = 10;
  const ROWS_AROUND = 2; // kept above and below what is seen
  const { element, picture: thumbnail } = window.paintdiff.galleryTools;
  const { messages } = window.paintdiff;

  // `icons` are SVG elements by what they mark; `near` is called when the last pictures come into sight.
  return class Grid {
    #items = new Map(); // elements in the document, by index
    #pictures = [];
    #total = 0;
    #columns = 1;
    #cell = LEAST_PX;

    constructor(scroll, list, { selected, icons, near }) {
      Object.assign(this, { scroll, list, selected, icons, near, active: 0 });
      new ResizeObserver(() => this.layOut()).observe(scroll);
      let drawing = 0;
      scroll.addEventListener("scroll", () => {
        cancelAnimationFrame(drawing);
        drawing = requestAnimationFrame(() => this.#draw());
      }, { passive: true });
    }

    get columns() { return this.#columns; }
    get step() { return this.#cell + GAP_PX; }
    get isAtTop() { return this.scroll.scrollTop <= this.#cell; }
    get pageLength() { return Math.max(1, Math.floor(this.scroll.clientHeight / this.step)) * this.#columns; }

    // `total` counts those that aren't loaded, too.
    show(pictures, total) {
      this.#pictures = pictures;
      this.#total = total;
      this.active = Math.min(this.active, Math.max(0, pictures.length - 1));
      this.layOut();
    }

    begin() {
      this.active = 0;
      this.scroll.scrollTop = 0;
      this.clear();
    }

    clear() {
      for (const item of this.#items.values()) item.remove();
      this.#items.clear();
    }

    layOut() {
      const style = getComputedStyle(this.scroll);
      const width = this.scroll.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
      if (width <= 0) return;
      const least = window.matchMedia("(max-width: 860px)").matches ? LEAST_PHONE_PX : LEAST_PX;
      this.#columns = Math.max(1, Math.floor((width + GAP_PX) / (least + GAP_PX)));
      this.#cell = (width - GAP_PX * (this.#columns - 1)) / this.#columns;
      const rows = Math.ceil(this.#pictures.length / this.#columns);
      this.list.style.height = `${Math.max(0, rows * this.step - GAP_PX)}px`;
      for (const [index, item] of this.#items) this.#place(item, index);
      this.#draw();
    }

    #draw() {
      const { step } = this;
      const top = this.scroll.scrollTop;
      const first = Math.max(0, Math.floor(top / step) - ROWS_AROUND) * this.#columns;
      const last = (Math.ceil((top + this.scroll.clientHeight) / step) + ROWS_AROUND) * this.#columns;
      for (const [index, item] of this.#items) {
        if (index < first || index >= last || this.#pictures[index]?.id !== item.dataset.id) {
          item.remove();
          this.#items.delete(index);
        }
      }
      for (let index = first; index < Math.min(last, this.#pictures.length); index++) {
        if (!this.#items.has(index)) this.#items.set(index, this.#makeItem(index));
      }
      this.mark();
      if (last >= this.#pictures.length - this.#columns) this.near();
    }

    #makeItem(index) {
      const item = element("div", "gallery-item");
      const picture = this.#pictures[index];
      item.id = `gallery-option-${picture.id}`;
      item.dataset.id = picture.id;
      item.setAttribute("role", "option");
      const image = thumbnail(picture.id);
      image.addEventListener("error", () => item.classList.add("missing"));
      item.append(image, element("span", "gallery-check"), element("span", "gallery-marks"));
      this.#place(item, index);
      this.#describe(item, picture);
      // In order, because screen readers read it so.
      const after = [...this.#items.keys()].filter((each) => each > index).sort((one, other) => one - other)[0];
      this.list.insertBefore(item, after === undefined ? null : this.#items.get(after));
      return item;
    }

    #place(item, index) {
      const [column, row] = [index % this.#columns, Math.floor(index / this.#columns)];
      Object.assign(item.style, {
        width: `${this.#cell}px`, height: `${this.#cell}px`,
        transform: `translate(${column * this.step}px, ${row * this.step}px)`,
      });
      item.setAttribute("aria-posinset", String(index + 1));
      item.setAttribute("aria-setsize", String(Math.max(this.#total, this.#pictures.length)));
    }

    #describe(item, picture) {
      item.setAttribute("aria-label", messages.describePicture(picture));
      item.title = picture.prompt;
      const marks = [picture.favourite && "favourite", { 1: "like", "-1": "dislike" }[picture.feedback]].filter(Boolean);
      item.querySelector(".gallery-marks").replaceChildren(...marks.map((name) => this.icons[name].cloneNode(true)));
    }

    // A picture has changed.
    update(index, picture) {
      const item = this.#items.get(index);
      if (item) this.#describe(item, picture);
    }

    mark() {
      for (const [index, item] of this.#items) {
        item.setAttribute("aria-selected", String(this.selected.has(item.dataset.id)));
        item.classList.toggle("active", index === this.active);
      }
      const active = this.#items.get(this.active);
      if (active) this.list.setAttribute("aria-activedescendant", active.id);
      else this.list.removeAttribute("aria-activedescendant");
    }

    moveTo(index) {
      this.active = Math.min(Math.max(0, index), this.#pictures.length - 1);
      const top = Math.floor(this.active / this.#columns) * this.step;
      const { scrollTop, clientHeight } = this.scroll;
      if (top < scrollTop) this.scroll.scrollTop = top;
      else if (top + this.#cell > scrollTop + clientHeight - GAP_PX) this.scroll.scrollTop = top + this.step - clientHeight + GAP_PX;
      this.#draw();
    }
  };
})();
