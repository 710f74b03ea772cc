// One picture of the Gallery tab: large, with its settings, its tags and its lineage.
"use strict";

window.paintdiff.GalleryDetail = (() => {
  const SWIPE_PX = 60;
  const { ask, url, times, element, button, picture: thumbnail, closeOutside } = window.paintdiff.galleryTools;
  const { messages } = window.paintdiff;

  // `step(by)` shows another picture, `change(what, value)` and `key(event)` change this one. `updated` is called when
  // there is something new to see, `closed` at the end.
  return class Detail {
    shown = null; // the picture in the dialog, with its details once they are there

    constructor(dialog, { step, change, key, updated, closed }) {
      Object.assign(this, { dialog, step, change, key, updated });
      closeOutside(dialog);
      dialog.addEventListener("keydown", (event) => this.#pressed(event));
      dialog.addEventListener("click", (event) => { if (event.target.closest("[data-send]")) dialog.close(); });
      dialog.addEventListener("close", () => {
        this.#find(".gallery-shown").replaceChildren(); // frees the pixels
        this.shown = null;
        closed();
      });
      this.#listenToSwipes();
    }

    #find(selector) { return this.dialog.querySelector(selector); }
    get isOpen() { return this.dialog.open; }
    get parent() { return this.shown?.ancestors?.at(-1) ?? null; }

    async show(picture) {
      this.shown = picture;
      if (!this.isOpen) {
        this.dialog.showModal();
        this.#focus();
        this.dialog.scrollTop = 0; // on a phone it would begin at what is focused first
      }
      this.complain("");
      this.showTags();
      this.updated();
      await this.refresh();
    }

    // The details as they are now.
    async refresh() {
      const { id } = this.shown;
      try {
        const details = await ask(url(id));
        if (this.shown?.id !== id || !this.isOpen) return;
        const same = this.#find(".gallery-shown .viewer-place")?.dataset.after === url(id, "file");
        this.shown = details;
        if (!same) this.#showPixels(details);
        this.#fill(details);
      } catch (error) {
        if (this.shown?.id === id) this.complain(error.message);
      }
    }

    complain(text) { this.#find(".gallery-problem").textContent = text; }
    #focus() { this.#find(".gallery-about").focus({ preventScroll: true }); }

    #showPixels(details) {
      const place = element("div", "viewer-place see-through");
      const { parent } = this;
      Object.assign(place.dataset, {
        after: url(details.id, "file"), alt: details.prompt || messages.THE_PICTURE, width: details.width, height: details.height,
        afterSize: times(details), said: parent ? "" : times(details), swipes: "yes",
        ...(parent ? { before: url(parent.id, "file"), beforeSize: times(parent) } : {}),
      });
      const lost = this.#find(".gallery-shown").contains(document.activeElement);
      this.#find(".gallery-shown").replaceChildren(place);
      if (lost) this.#focus();
      window.paintdiff.viewer.mount(this.dialog);
    }

    #fill(details) {
      this.#find(".gallery-prompt").textContent = details.prompt;
      this.#find(".gallery-note").textContent = details.note;
      this.#find(".save").href = `${url(details.id, "file")}?download=true`;
      for (const each of this.dialog.querySelectorAll("[data-send]")) each.dataset.picture = details.id;
      this.#find("[data-send=text_to_image].act").hidden = !details.usable;
      const replay = this.#find("[data-replay]");
      replay.dataset.replay = details.id;
      replay.hidden = !details.usable;
      this.#fillSettings(details);
      this.#fillFamily(details);
      this.showTags();
      this.updated();
    }

    #fillSettings(details) {
      const list = this.#find(".gallery-settings");
      const rows = [
        ...(details.negative_prompt ? [[list.dataset.negative, details.negative_prompt]] : []),
        ...details.settings,
        [list.dataset.painted, new Date(details.created_at).toLocaleString()],
      ];
      list.replaceChildren(...rows.map(([label, value]) => {
        const row = element("div");
        row.append(element("dt", "", label), element("dd", "", value));
        return row;
      }));
    }

    // What it was made from, each within the one before, then it, and within that what was made from it.
    #fillFamily(details) {
      const place = this.#find(".gallery-family");
      const { ancestors, children, more } = details;
      place.hidden = !ancestors.length && !children.length;
      const below = [...children.map((each) => this.#node(each, this.#branches(each.children, each.more))), ...this.#rest(more)];
      let tree = this.#node({ ...details, current: true }, below);
      for (const each of [...ancestors].reverse()) tree = this.#node(each, [tree]);
      const list = element("ul");
      list.append(tree);
      place.replaceChildren(element("h2", "", place.dataset.title), list);
    }

    #branches(pictures, more) { return [...pictures.map((each) => this.#node(each, [])), ...this.#rest(more)]; }
    #rest(more) { return more ? [element("li", "gallery-more-kin", messages.AND_MORE)] : []; }

    #node(picture, below) {
      const item = element("li");
      const said = picture.relation || messages.ORIGINAL;
      const open = button("gallery-kin", "", () => this.show(picture));
      open.append(thumbnail(picture.id), element("span", "", picture.current ? messages.thisPicture(picture.relation) : said));
      open.title = picture.prompt;
      if (picture.current) {
        open.setAttribute("aria-current", "true");
        open.disabled = true;
      }
      item.append(open);
      if (below.length) {
        const list = element("ul");
        list.append(...below);
        item.append(list);
      }
      return item;
    }

    showTags() {
      if (this.isOpen && !this.dialog.contains(document.activeElement)) this.#focus();
      const list = this.#find("ul.gallery-tags");
      const tags = this.shown?.tags ?? [];
      list.hidden = !tags.length;
      list.replaceChildren(...tags.map((tag) => {
        const item = element("li", "", tag);
        const remove = button("", "×", () => this.change("untag", tag));
        remove.setAttribute("aria-label", messages.removeTag(tag));
        item.append(remove);
        return item;
      }));
    }

    #pressed(event) {
      const { key, target } = event;
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || target.matches("input, select")) return;
      const steps = { ArrowLeft: -1, ArrowRight: 1 };
      if (key in steps && !target.closest(".viewer")) this.step(steps[key]);
      else if (!this.key(event)) return;
      event.preventDefault();
    }

    // A swipe leads to the next picture, unless it moves an enlarged one or the divider.
    #listenToSwipes() {
      const place = this.#find(".gallery-shown");
      let from = null;
      place.addEventListener("touchstart", ({ touches, target }) => {
        const free = place.querySelector(".viewer:not(.viewer-roams)") && !target.closest(".viewer-divider, .viewer-foot");
        from = touches.length === 1 && free ? { x: touches[0].clientX, y: touches[0].clientY } : null;
      }, { passive: true });
      place.addEventListener("touchend", ({ changedTouches: [{ clientX, clientY }] }) => {
        if (!from) return;
        const [x, y] = [clientX - from.x, clientY - from.y];
        from = null;
        if (Math.abs(x) > SWIPE_PX && Math.abs(x) > 2 * Math.abs(y)) this.step(x < 0 ? 1 : -1);
      }, { passive: true });
    }
  };
})();
