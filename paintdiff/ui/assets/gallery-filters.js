// The filters of the Gallery tab, the order, and which pictures are shown: all, favourites or the bin.
"use strict";

window.paintdiff.GalleryFilters = (() => {
  const TYPING_MS = 250;
  const WORDS = ["search", "model", "kind", "feedback", "tag", "size"];
  const DATES = ["since", "until"];
  const { messages } = window.paintdiff;

  // `changed` is called when other pictures are wanted, `binDays` when the bin is to be emptied after other days.
  return class Filters {
    #typing = 0;

    constructor(bar, { changed, binDays }) {
      Object.assign(this, { bar, changed, binDays });
      this.#field("search").addEventListener("input", () => {
        clearTimeout(this.#typing);
        this.#typing = setTimeout(changed, TYPING_MS);
      });
      for (const field of bar.querySelectorAll("select, [type=date]")) {
        field.addEventListener("change", () => {
          if (field.name === "bin-days") return binDays(field.value ? Number(field.value) : null);
          clearTimeout(this.#typing);
          changed();
        });
      }
    }

    #field(name) { return this.bar.querySelector(`[name=${name}]`); }
    get view() { return this.#field("view").value; }
    get #used() { return [...WORDS, ...DATES].filter((name) => this.#field(name).value.trim()); }
    get narrows() { return this.#used.length > 0 || this.view === "favourite"; }

    // The address of what matches.
    query(path, cursor) {
      const query = new URLSearchParams();
      for (const name of WORDS) {
        const value = this.#field(name).value.trim();
        if (value) query.set(name, value);
      }
      // Days are those of the person's own calendar; the last one counts as a whole.
      DATES.forEach((name, more) => {
        const [year, month, day] = this.#field(name).value.split("-").map(Number);
        if (year && month && day) query.set(name, new Date(year, month - 1, day + more).toISOString());
      });
      if (this.view) query.set(this.view, "true");
      if (this.#field("order").value) query.set("order", this.#field("order").value);
      if (cursor) query.set("cursor", cursor);
      return `gallery/${path}?${query}`;
    }

    clear() {
      for (const name of this.#used) this.#field(name).value = "";
      if (this.view === "favourite") this.#field("view").value = "";
      this.#field("search").focus();
      this.changed();
    }

    // `count` is said; the bin can be emptied if it has pictures.
    show(count, filled) {
      this.bar.querySelector(".gallery-count").textContent = count;
      this.bar.querySelector("[data-do=clear]").hidden = !this.narrows;
      this.bar.querySelector(".gallery-bin").hidden = this.view !== "bin";
      this.bar.querySelector("[data-do=ask-empty]").hidden = !filled;
      const hidden = this.#used.some((name) => this.#field(name).closest(".rare"));
      this.bar.querySelector("[data-do=more]").classList.toggle("used", hidden);
    }

    showMore() {
      const open = this.bar.classList.toggle("all-filters");
      this.bar.querySelector("[data-do=more]").setAttribute("aria-expanded", String(open));
    }

    // What the person's pictures have.
    offer({ models, kinds, tags, sizes }) {
      const same = (texts) => texts.map((text) => [text, text]);
      this.#offer("model", models);
      this.#offer("kind", kinds);
      this.#offer("tag", same(tags));
      this.#offer("size", sizes);
    }

    #offer(name, choices) {
      const select = this.#field(name);
      const chosen = select.value;
      const kept = chosen && !choices.some(([value]) => value === chosen) ? [[chosen, chosen]] : [];
      select.replaceChildren(select.options[0], ...[...kept, ...choices].map(([value, text]) => new Option(text, value)));
      select.value = chosen;
    }

    showBinDays({ bin_days: days, may_set_bin_days: may }) {
      const select = this.#field("bin-days");
      const value = days === null ? "" : String(days);
      if (![...select.options].some((each) => each.value === value)) select.append(new Option(messages.afterDays(days), value));
      select.value = value;
      select.disabled = !may;
    }
  };
})();
