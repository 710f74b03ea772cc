// The Gallery tab (ui/gallery/tab.py). All of its state is here; the routes answer with pages of pictures
// (ui/gallery/routes.py). Text is only ever set as textContent.
"use strict";

window.paintdiff.gallery = (() => {
  const RETRY_MS = 4000, MOST_CHANGED = 500;
  const { ask, element, button } = window.paintdiff.galleryTools;
  const {
    messages, GalleryFilters, GallerySelection, GalleryGrid, GalleryDetail, GalleryVariations, GalleryCompare,
  } = window.paintdiff;

  class Gallery {
    #pictures = []; // all that were loaded, in order
    #places = new Map(); // index by id
    #next = null; // the cursor of the next page
    #total = 0;
    #loading = null; // the AbortController of a page that is being loaded
    #changing = Promise.resolve(); // the latest change; it resolves to whether it was made
    #retryAt = 0; // when the next page may be asked for again
    #seen = false;
    #run = null; // the latest run of variations
    #outdated = false; // pictures were made that aren't in the grid

    constructor(root) {
      this.root = root;
      this.list = this.#find("#gallery-grid");
      this.question = this.#find(".gallery-erase");
      this.filters = new GalleryFilters(this.#find(".gallery-bar"), {
        changed: () => this.#load(), binDays: (days) => this.#setBinDays(days),
      });
      this.selection = new GallerySelection(this.#find(".gallery-selection"), {
        idAt: (index) => this.#pictures[index]?.id, loaded: () => this.#pictures.map(({ id }) => id),
        isComplete: () => !this.#next, query: () => this.filters.query("ids"),
        changed: () => this.#showSelection(), say: (text) => this.say(text),
      });
      this.grid = new GalleryGrid(this.#find(".gallery-scroll"), this.list, {
        selected: this.selection.ids, near: () => this.#loadNext(),
        icons: Object.fromEntries(["like", "dislike", "favourite"].map((name) => [
          name, this.#find(`.gallery-selection [data-do=${name}] svg`),
        ])),
      });
      this.detail = new GalleryDetail(this.#find(".gallery-detail"), {
        step: (by) => this.#step(by), change: (what, value) => this.#change(what, value), key: (event) => this.#changeKey(event),
        updated: () => { this.#showStates(); this.#showRun(); },
        closed: () => {
          this.#showSelection();
          if (this.#outdated) this.#refresh();
          if (!this.list.hidden && this.list.checkVisibility()) this.list.focus({ preventScroll: true });
        },
      });
      this.variations = new GalleryVariations(this.#find(".gallery-vary"), (run) => this.#followed(run));
      this.compare = new GalleryCompare(this.#find(".gallery-compare"));
      this.#listen();
      // What was painted meanwhile is there when the tab is opened again.
      new IntersectionObserver((entries) => {
        const seen = entries.at(-1).isIntersecting;
        if (seen && !this.#seen) this.#refresh();
        this.#seen = seen;
      }).observe(root);
    }

    #find(selector) { return this.root.querySelector(selector); }
    // Loading

    async #load(cursor = null) {
      if (cursor && this.#loading) return;
      this.#loading?.abort();
      const loading = this.#loading = new AbortController();
      try {
        const { pictures, next, total } = await ask(this.filters.query("pictures", cursor), null, loading.signal);
        if (!cursor) this.#begin(total);
        for (const each of pictures) {
          if (this.#places.has(each.id)) continue;
          this.#places.set(each.id, this.#pictures.length);
          this.#pictures.push(each);
        }
        this.#next = next;
        this.#show(null);
      } catch (error) {
        if (error.name === "AbortError") return;
        if (!cursor) return this.#show(error.message);
        this.#retryAt = performance.now() + RETRY_MS; // when it is scrolled next
        return this.say(error.message);
      } finally {
        if (this.#loading === loading) this.#loading = null;
      }
      this.grid.show(this.#pictures, this.#total);
      this.#showStates();
    }

    #loadNext() {
      if (this.#next && !this.#loading && performance.now() >= this.#retryAt) this.#load(this.#next);
    }

    #begin(total) {
      this.#pictures = [];
      this.#places.clear();
      this.#total = total;
      this.#outdated = false;
      this.selection.clear();
      this.grid.begin();
    }

    // Whoever has scrolled down or selected something keeps their place.
    #refresh() {
      const busy = !this.grid.isAtTop || this.selection.size || this.detail.isOpen;
      if (busy && this.#pictures.length) return;
      this.#load();
      this.#loadChoices();
    }

    async #loadChoices() {
      let choices;
      try {
        choices = await ask("gallery/choices");
      } catch {
        return; // the page of pictures says so
      }
      this.filters.offer(choices);
      this.filters.showBinDays(choices);
      this.#find("datalist").replaceChildren(...choices.tags.map((tag) => new Option(tag, tag)));
    }

    // The grid, or what there is in place of it.
    #show(failure) {
      const inBin = this.filters.view === "bin";
      const state = failure ? "failed" : this.#pictures.length ? "" : this.filters.narrows ? "nothing" : inBin ? "bin" : "none";
      this.list.hidden = Boolean(state);
      for (const each of this.root.querySelectorAll(".gallery-empty")) each.hidden = each.dataset.state !== state;
      if (failure) this.#find(".gallery-empty[data-state=failed] p").textContent = failure;
      this.filters.show(failure ? "" : messages.countPictures(this.#total), this.#pictures.length > 0);
      this.#showSelection();
    }

    // Selection

    // The ids that a change is for.
    get #chosen() {
      if (this.detail.isOpen) return this.detail.shown ? [this.detail.shown.id] : [];
      if (this.selection.size) return [...this.selection.ids];
      return this.#pictures.slice(this.grid.active, this.grid.active + 1).map((each) => each.id);
    }

    // Whether all of these are known to fit; those that aren't loaded aren't known.
    #every(ids, fits) {
      const known = (id) => (this.detail.shown?.id === id ? this.detail.shown : this.#pictures[this.#places.get(id)]);
      return ids.length > 0 && ids.every((id) => known(id) && fits(known(id)));
    }

    #unselect() {
      this.selection.clear();
      this.#showSelection();
    }

    #showSelection() {
      this.selection.show();
      this.grid.mark();
      this.#showStates();
    }

    // What buttons say about the pictures that they would change.
    #showStates() {
      const ids = this.#chosen;
      const place = this.detail.isOpen ? this.detail.dialog : this.#find(".gallery-selection");
      const press = (name, fits) => {
        place.querySelector(`[data-do=${name}]`).setAttribute("aria-pressed", String(this.#every(ids, fits)));
      };
      press("like", (each) => each.feedback === 1);
      press("dislike", (each) => each.feedback === -1);
      press("favourite", (each) => each.favourite);
      const deleted = this.detail.shown?.deleted ?? this.filters.view === "bin";
      place.querySelector("[data-do=delete]").hidden = deleted;
      place.querySelector("[data-do=restore]").hidden = !deleted;
      if (!this.detail.isOpen) return;
      const index = this.#indexOf(this.detail.shown);
      place.querySelector("[data-do=previous]").disabled = index <= 0;
      place.querySelector("[data-do=next]").disabled = index < 0 || index >= this.#pictures.length - 1;
    }

    // Changes

    // One after the other, so that no answer brings back what a later one has changed.
    #change(change, value = null, ids = this.#chosen) {
      this.#changing = this.#changing.then(() => this.#changeNow(change, value, ids));
      return this.#changing;
    }

    async #changeNow(change, value, ids) {
      if (!ids.length) return false;
      try {
        for (let start = 0; start < ids.length; start += MOST_CHANGED) {
          const body = { ids: ids.slice(start, start + MOST_CHANGED), change, value };
          for (const changed of (await ask("gallery/changes", body)).pictures) this.#bring(changed);
        }
      } catch (error) {
        this.say(error.message);
        return false;
      } finally {
        this.#showSelection();
        if (this.detail.isOpen) this.detail.showTags();
      }
      if (change === "tag" || change === "untag") this.#loadChoices();
      return true;
    }

    // Brings a picture up to date wherever it is.
    #bring(changed) {
      const index = this.#places.get(changed.id);
      if (index !== undefined) {
        this.#pictures[index] = changed;
        this.grid.update(index, changed);
      }
      const { shown } = this.detail;
      if (shown?.id === changed.id) Object.assign(shown, changed);
      window.paintdiff.ratings?.bring(changed);
    }

    #rate(feedback) {
      const ids = this.#chosen;
      const on = this.#every(ids, (each) => each.feedback === feedback);
      return this.#change("feedback", on ? 0 : feedback, ids);
    }

    #favour() {
      const ids = this.#chosen;
      return this.#change("favourite", !this.#every(ids, (each) => each.favourite), ids);
    }

    async #bin(change) {
      const ids = this.#chosen;
      const shown = this.detail.isOpen ? this.#indexOf(this.detail.shown) : -1;
      if (!await this.#change(change, null, ids)) return;
      this.#takeOut(ids);
      const back = change === "delete" ? "restore" : "delete";
      const say = change === "delete" ? messages.movedToBin : messages.restored;
      this.say(say(ids.length), [messages.UNDO, async () => {
        if (await this.#change(back, null, ids)) this.#load();
      }]);
      if (!this.detail.isOpen) return;
      if (this.#pictures.length && shown >= 0) this.#open(Math.min(shown, this.#pictures.length - 1));
      else this.detail.dialog.close();
    }

    #takeOut(ids) {
      const gone = new Set(ids);
      this.#pictures = this.#pictures.filter((each) => !gone.has(each.id));
      this.#places = new Map(this.#pictures.map(({ id }, index) => [id, index]));
      this.#total = Math.max(this.#pictures.length, this.#total - gone.size);
      this.selection.drop(gone);
      this.grid.clear();
      this.#show(null);
      this.grid.show(this.#pictures, this.#total);
      if (!this.#pictures.length && this.#next) this.#load();
    }

    async #tag(form) {
      const field = form.elements.tag;
      const tag = field.value.trim();
      if (tag && await this.#change("tag", tag)) field.value = "";
    }

    // The bin

    async #emptyBin() {
      this.question.close();
      try {
        const { erased } = await ask("gallery/bin/empty", {});
        this.say(messages.erased(erased));
      } catch (error) {
        this.say(error.message);
      }
      this.#load();
      this.#loadChoices();
    }

    async #setBinDays(days) {
      try {
        this.filters.showBinDays(await ask("gallery/bin/days", { days }));
        this.say(days ? messages.binEmptiedAfter(days) : messages.BIN_KEPT);
      } catch (error) {
        this.say(error.message);
        this.#loadChoices(); // shows what counts
      }
    }

    // Several pictures

    async #zip() {
      try {
        const { name, count, bytes, missing } = await ask("gallery/zips", { ids: this.#chosen });
        this.say(messages.zipping(count, window.paintdiff.byteSize(bytes), missing));
        Object.assign(document.createElement("a"), { href: `gallery/zips/${name}`, download: "" }).click();
      } catch (error) {
        this.say(error.message);
      }
    }

    #compare() {
      const pictures = this.#chosen.map((id) => this.#pictures[this.#places.get(id)]).filter(Boolean);
      this.compare.show(pictures, (picture) => this.#open(this.#indexOf(picture)));
    }

    #followed(run) {
      const before = this.#run;
      this.#run = run;
      const here = this.detail.shown?.id === run.pictureId;
      const news = run.count > (before?.job === run.job ? before.count : 0);
      this.#outdated ||= news;
      if (here) {
        this.#showRun();
        if (news) this.detail.refresh();
      } else if (run.done) {
        this.say([run.said, ...run.warnings].join(" "));
        if (this.#outdated && !this.detail.isOpen) this.#refresh();
      }
    }

    #showRun() {
      const place = this.#find(".gallery-run");
      const run = this.#run?.pictureId === this.detail.shown?.id ? this.#run : null;
      place.hidden = !run;
      if (!run) return;
      const text = [run.said, ...run.warnings].join(" ");
      const words = place.querySelector("span");
      if (words.textContent !== text) words.textContent = text;
      place.querySelector("button").hidden = run.done;
    }

    // `more` is a button: what it says and what it does.
    say(text, more = null) {
      const place = this.#find(".gallery-said");
      const close = button("gallery-close", "×", () => place.replaceChildren());
      close.setAttribute("aria-label", messages.CLOSE);
      place.replaceChildren(element("span", "", text));
      if (more) place.append(button("gallery-button", more[0], () => { place.replaceChildren(); more[1](); }));
      place.append(close);
      if (this.detail.isOpen) this.detail.complain(text);
    }

    // One picture

    #indexOf(picture) { return this.#places.get(picture?.id) ?? -1; }

    #open(index) {
      const picture = this.#pictures[index];
      if (!picture) return;
      this.grid.moveTo(index);
      this.detail.show(picture);
    }

    #step(by) {
      const index = this.#indexOf(this.detail.shown) + by;
      if (index >= 0 && index < this.#pictures.length) this.#open(index);
    }

    // Events

    #act(name) {
      ({
        like: () => this.#rate(1),
        dislike: () => this.#rate(-1),
        favourite: () => this.#favour(),
        delete: () => this.#bin("delete"),
        restore: () => this.#bin("restore"),
        zip: () => this.#zip(),
        compare: () => this.#compare(),
        "select-all": () => this.selection.addAll(),
        unselect: () => { this.#unselect(); this.list.focus(); },
        more: () => this.filters.showMore(),
        clear: () => this.filters.clear(),
        again: () => { this.#load(); this.#loadChoices(); },
        "ask-empty": () => this.question.showModal(),
        keep: () => this.question.close(),
        erase: () => this.#emptyBin(),
        previous: () => this.#step(-1),
        next: () => this.#step(1),
        close: () => this.detail.dialog.close(),
        vary: () => this.variations.ask(this.detail.shown),
        "vary-no": () => this.variations.dialog.close(),
        "vary-stop": () => this.variations.cancel(this.#run).catch((error) => this.say(error.message)),
        larger: () => this.compare.act("larger"),
        smaller: () => this.compare.act("smaller"),
        "fit-all": () => this.compare.act("fit"),
        "compare-close": () => this.compare.dialog.close(),
      })[name]?.();
    }

    #listen() {
      const { root, list } = this;
      root.addEventListener("click", (event) => {
        const found = event.target.closest("[data-do]");
        if (found && !found.closest(".viewer")) this.#act(found.dataset.do);
      });
      for (const form of root.querySelectorAll(".gallery-tag-form")) {
        form.addEventListener("submit", (event) => { event.preventDefault(); this.#tag(form); });
      }
      list.addEventListener("click", (event) => this.#clicked(event));
      list.addEventListener("keydown", (event) => this.#gridKey(event));
      document.addEventListener("visibilitychange", () => {
        if (document.visibilityState === "visible" && this.#seen) this.#refresh();
      });
    }

    #clicked(event) {
      const item = event.target.closest(".gallery-item");
      if (!item) return;
      const index = this.#indexOf(item.dataset);
      this.list.focus({ preventScroll: true });
      if (event.shiftKey) this.selection.extend(index);
      else if (event.ctrlKey || event.metaKey || event.target.closest(".gallery-check")) this.selection.toggle(index);
      else return this.#open(index);
      this.grid.active = index;
      this.#showSelection();
    }

    #gridKey(event) {
      const { key } = event;
      const { active, columns, pageLength } = this.grid;
      const steps = {
        ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -pageLength, PageDown: pageLength,
        Home: -active, End: this.#pictures.length - 1 - active,
      };
      if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "a") {
        this.selection.addAll();
      } else if (event.ctrlKey || event.metaKey || event.altKey) {
        return;
      } else if (key in steps) {
        this.grid.moveTo(active + steps[key]);
        if (event.shiftKey) this.selection.extend(this.grid.active);
        else this.selection.anchor = this.grid.active;
        this.#showSelection();
      } else if (key === "Enter") {
        this.#open(active);
      } else if (key === " ") {
        this.selection.toggle(active);
        this.#showSelection();
      } else if (key === "Escape" && this.selection.size) {
        event.stopPropagation();
        this.#unselect();
      } else if (!this.#changeKey(event)) {
        return;
      }
      event.preventDefault();
    }

    // Whether a key rates, favours or deletes.
    #changeKey({ key, repeat }) {
      const acts = {
        1: () => this.#change("feedback", -1), 2: () => this.#change("feedback", 0), 3: () => this.#change("feedback", 1),
        f: () => this.#favour(), ...(this.filters.view === "bin" ? {} : { Delete: () => this.#bin("delete") }),
      };
      const act = acts[key.length === 1 ? key.toLowerCase() : key];
      if (act && !repeat) act();
      return Boolean(act);
    }
  }

  function mount() {
    for (const place of (window.paintdiffGalleries ?? []).splice(0)) {
      const root = place.querySelector(".gallery");
      if (root && !root.dataset.mounted) {
        root.dataset.mounted = "yes";
        new Gallery(root);
      }
    }
  }

  mount();
  return { mount };
})();
