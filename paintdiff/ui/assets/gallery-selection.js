// Which of the gallery's pictures are selected, and the bar that says how many.
"use strict";

window.paintdiff.GallerySelection = (() => {
  const [LEAST_COMPARED, MOST_COMPARED] = [2, 4];
  const { ask } = window.paintdiff.galleryTools;
  const { messages } = window.paintdiff;

  return class GallerySelection {
    ids = new Set(); // also of pictures that aren't loaded
    anchor = 0; // the index from which Shift selects
    #grid;

    // `grid` knows the loaded pictures: idAt(index), loaded() (their ids), isComplete() (whether those are all), query()
    // (the address of the ids of all that match), changed() and say(text).
    constructor(bar, grid) {
      this.bar = bar;
      this.#grid = grid;
    }

    get size() { return this.ids.size; }

    toggle(index) {
      const id = this.#grid.idAt(index);
      if (id && !this.ids.delete(id)) this.ids.add(id);
      this.anchor = index;
    }

    extend(index) {
      const [from, to] = [Math.min(this.anchor, index), Math.max(this.anchor, index)];
      for (let each = from; each <= to; each++) {
        const id = this.#grid.idAt(each);
        if (id) this.ids.add(id);
      }
    }

    // All that match, also those that aren't loaded yet.
    async addAll() {
      try {
        const all = this.#grid.isComplete() ? { ids: this.#grid.loaded() } : await ask(this.#grid.query());
        for (const id of all.ids) this.ids.add(id);
        if (all.total > all.ids.length) this.#grid.say(messages.selectedOf(all.ids.length, all.total));
      } catch (error) {
        this.#grid.say(error.message);
      }
      this.#grid.changed();
    }

    drop(ids) {
      for (const id of ids) this.ids.delete(id);
    }

    clear() {
      this.ids.clear();
      this.anchor = 0;
    }

    show() {
      this.bar.hidden = this.size === 0;
      this.bar.querySelector(".gallery-selected").textContent = messages.selected(this.size);
      this.bar.querySelector("[data-do=compare]").hidden = this.size < LEAST_COMPARED || this.size > MOST_COMPARED;
    }
  };
})();
