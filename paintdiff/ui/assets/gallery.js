// The Gallery tab (ui/gallery/tab.py). All of its state is here; the routes answer with pages of pictures
// (ui/gallery/routes.py). Only the pictures in sight are in the document. Text is only ever set as textContent.
"use strict";

window.paintdiff.gallery = (() => {
  const LEAST_PX = 168, LEAST_PHONE_PX = 104, GAP_PX = 10;
  const ROWS_AROUND = 2; // kept above and below what is seen
  const TYPING_MS = 250, SWIPE_PX = 60, RETRY_MS = 4000, MOST_CHANGED = 500;
  const { messages } = window.paintdiff;

  const url = (id, what = "") => `gallery/pictures/${id}${what && `/${what}`}`;
  const times = ({ width, height }) => `${width} × ${height}`;
  const count = messages.countPictures;

  // Answers of a route, or an error whose message is for people.
  async function ask(path, body, signal) {
    const sent = body ? { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } } : {};
    let answer, content;
    try {
      answer = await fetch(path, { cache: "no-store", signal, ...sent });
      content = await answer.json();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error(messages.NOT_RESPONDING);
    }
    if (answer.ok) return content;
    throw new Error(typeof content.detail === "string" ? content.detail : messages.somethingWrong(answer.status));
  }

  // Whether a click was within an element; its backdrop counts as the element itself.
  function contains(box, { clientX: x, clientY: y }) {
    const { left, right, top, bottom } = box.getBoundingClientRect();
    return x >= left && x <= right && y >= top && y <= bottom;
  }

  function element(name, classes, text) {
    const made = document.createElement(name);
    if (classes) made.className = classes;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  class Gallery {
    #pictures = []; // all that were loaded, in order
    #next = null; // the cursor of the next page
    #total = 0;
    #loading = null; // the AbortController of a page that is being loaded
    #items = new Map(); // elements in the document, by index
    #columns = 1;
    #cell = LEAST_PX;
    #active = 0;
    #anchor = 0;
    #selected = new Set(); // ids
    #shown = null; // the picture in the dialog
    #typing = 0;
    #changing = Promise.resolve(); // the latest change; it resolves to whether it was made
    #retryAt = 0; // when the next page may be asked for again
    #seen = false;

    constructor(root) {
      this.root = root;
      this.grid = this.#find("#gallery-grid");
      this.scroll = this.#find(".gallery-scroll");
      this.dialog = this.#find(".gallery-detail");
      this.question = this.#find(".gallery-ask");
      this.#listen();
      new ResizeObserver(() => this.#layOut()).observe(this.scroll);
      // What was painted meanwhile is there when the tab is opened again.
      new IntersectionObserver((entries) => {
        const seen = entries.at(-1).isIntersecting;
        if (seen && !this.#seen) this.#refresh();
        this.#seen = seen;
      }).observe(root);
    }

    #find(selector) { return this.root.querySelector(selector); }
    #field(name) { return this.#find(`.gallery-bar [name=${name}]`); }
    get #inBin() { return this.#field("view").value === "bin"; }

    get #filtered() {
      return ["search", "model", "kind", "feedback", "tag"].some((name) => this.#field(name).value.trim());
    }

    // Loading

    #query(cursor) {
      const query = new URLSearchParams();
      for (const name of ["search", "model", "kind", "feedback", "tag"]) {
        const value = this.#field(name).value.trim();
        if (value) query.set(name, value);
      }
      const view = this.#field("view").value;
      if (view) query.set(view, "true");
      if (this.#field("order").value) query.set("oldest", "true");
      if (cursor) query.set("cursor", cursor);
      return `gallery/pictures?${query}`;
    }

    async #load(cursor = null) {
      if (cursor && this.#loading) return;
      this.#loading?.abort();
      const loading = this.#loading = new AbortController();
      try {
        const { pictures, next, total } = await ask(this.#query(cursor), null, loading.signal);
        if (!cursor) this.#begin(total);
        const known = new Set(this.#pictures.map((each) => each.id));
        this.#pictures.push(...pictures.filter((each) => !known.has(each.id)));
        this.#next = next;
        this.#show(null);
      } catch (error) {
        if (error.name === "AbortError") return;
        if (!cursor) return this.#show(error.message);
        this.#retryAt = performance.now() + RETRY_MS; // when it is scrolled next
        return this.#say(error.message);
      } finally {
        if (this.#loading === loading) this.#loading = null;
      }
      this.#layOut();
    }

    #begin(total) {
      this.#pictures = [];
      this.#total = total;
      this.#active = this.#anchor = 0;
      this.#selected.clear();
      this.scroll.scrollTop = 0;
      this.#clearItems();
    }

    // Whoever has scrolled down or selected something keeps their place.
    #refresh() {
      const busy = this.scroll.scrollTop > this.#cell || this.#selected.size || this.dialog.open;
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
      const same = (texts) => texts.map((text) => [text, text]);
      this.#offer(this.#field("model"), same(choices.models));
      this.#offer(this.#field("kind"), choices.kinds);
      this.#offer(this.#field("tag"), same(choices.tags));
      this.#find("datalist").replaceChildren(...choices.tags.map((tag) => new Option(tag, tag)));
    }

    #offer(select, choices) {
      const chosen = select.value;
      const kept = chosen && !choices.some(([value]) => value === chosen) ? [[chosen, chosen]] : [];
      select.replaceChildren(select.options[0], ...[...kept, ...choices].map(([value, text]) => new Option(text, value)));
      select.value = chosen;
    }

    // The grid, or what there is in place of it.
    #show(failure) {
      const view = this.#field("view").value;
      const filtered = this.#filtered || view === "favourite";
      const state = failure ? "failed" : this.#pictures.length ? "" : filtered ? "nothing" : view === "bin" ? "bin" : "none";
      this.grid.hidden = Boolean(state);
      for (const each of this.root.querySelectorAll(".gallery-empty")) each.hidden = each.dataset.state !== state;
      if (failure) this.#find(".gallery-empty[data-state=failed] p").textContent = failure;
      this.#find(".gallery-count").textContent = failure ? "" : count(this.#total);
      this.#find(".gallery-bar [data-do=clear]").hidden = !filtered;
      this.#find(".gallery-bar [data-do=ask-empty]").hidden = !(view === "bin" && this.#pictures.length);
      this.#showSelection();
    }

    // The grid: elements for what is in sight, and a little around it

    #layOut() {
      const style = getComputedStyle(this.scroll);
      const width = this.scroll.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
      if (width <= 0) return;
      const least = window.matchMedia("(max-width: 860px)").matches ? LEAST_PHONE_PX : LEAST_PX;
      this.#columns = Math.max(1, Math.floor((width + GAP_PX) / (least + GAP_PX)));
      this.#cell = (width - GAP_PX * (this.#columns - 1)) / this.#columns;
      const rows = Math.ceil(this.#pictures.length / this.#columns);
      this.grid.style.height = `${Math.max(0, rows * (this.#cell + GAP_PX) - GAP_PX)}px`;
      for (const [index, item] of this.#items) this.#place(item, index);
      this.#draw();
    }

    #draw() {
      const step = this.#cell + GAP_PX;
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
      this.#mark();
      const near = last >= this.#pictures.length - this.#columns;
      if (this.#next && near && performance.now() >= this.#retryAt) this.#load(this.#next);
    }

    #clearItems() {
      for (const item of this.#items.values()) item.remove();
      this.#items.clear();
    }

    #makeItem(index) {
      const item = element("div", "gallery-item");
      const picture = this.#pictures[index];
      item.id = `gallery-option-${picture.id}`;
      item.dataset.id = picture.id;
      item.setAttribute("role", "option");
      const image = element("img");
      image.alt = "";
      image.draggable = false;
      image.decoding = "async";
      image.addEventListener("error", () => item.classList.add("missing"));
      image.src = url(picture.id, "thumbnail");
      item.append(image, element("span", "gallery-check"), element("span", "gallery-marks"));
      this.#place(item, index);
      this.#update(item, picture);
      // In order, because screen readers read it so.
      const after = [...this.#items.keys()].filter((each) => each > index).sort((one, other) => one - other)[0];
      this.grid.insertBefore(item, after === undefined ? null : this.#items.get(after));
      return item;
    }

    #place(item, index) {
      const step = this.#cell + GAP_PX;
      const [column, row] = [index % this.#columns, Math.floor(index / this.#columns)];
      Object.assign(item.style, {
        width: `${this.#cell}px`, height: `${this.#cell}px`, transform: `translate(${column * step}px, ${row * step}px)`,
      });
      item.setAttribute("aria-posinset", String(index + 1));
      item.setAttribute("aria-setsize", String(this.#next ? this.#total : this.#pictures.length));
    }

    #update(item, picture) {
      const rated = { 1: "liked", "-1": "disliked" }[picture.feedback] ?? "";
      item.setAttribute("aria-label", [picture.prompt || "Without a prompt", rated, picture.favourite ? "favourite" : ""].filter(Boolean).join(", "));
      item.title = picture.prompt;
      const marks = [picture.favourite ? "♥" : "", { 1: "👍", "-1": "👎" }[picture.feedback] ?? ""].join("");
      item.querySelector(".gallery-marks").textContent = marks;
    }

    #mark() {
      for (const [index, item] of this.#items) {
        item.setAttribute("aria-selected", String(this.#selected.has(item.dataset.id)));
        item.classList.toggle("active", index === this.#active);
      }
      const active = this.#items.get(this.#active);
      if (active) this.grid.setAttribute("aria-activedescendant", active.id);
      else this.grid.removeAttribute("aria-activedescendant");
    }

    #moveTo(index) {
      this.#active = Math.min(Math.max(0, index), this.#pictures.length - 1);
      const step = this.#cell + GAP_PX;
      const top = Math.floor(this.#active / this.#columns) * step;
      const { scrollTop, clientHeight } = this.scroll;
      if (top < scrollTop) this.scroll.scrollTop = top;
      else if (top + this.#cell > scrollTop + clientHeight - GAP_PX) this.scroll.scrollTop = top + step - clientHeight + GAP_PX;
      this.#draw();
    }

    // Selection

    #select(index, wanted = true) {
      const id = this.#pictures[index]?.id;
      if (!id) return;
      if (wanted) this.#selected.add(id);
      else this.#selected.delete(id);
    }

    #toggle(index) {
      this.#select(index, !this.#selected.has(this.#pictures[index]?.id));
      this.#anchor = index;
    }

    #selectTo(index) {
      const [from, to] = [Math.min(this.#anchor, index), Math.max(this.#anchor, index)];
      for (let each = from; each <= to; each++) this.#select(each);
    }

    #unselect() {
      this.#selected.clear();
      this.#showSelection();
    }

    get #chosen() {
      if (this.dialog.open) return this.#shown ? [this.#shown] : [];
      if (!this.#selected.size) return this.#pictures.slice(this.#active, this.#active + 1);
      return this.#pictures.filter((each) => this.#selected.has(each.id));
    }

    #showSelection() {
      const bar = this.#find(".gallery-selection");
      bar.hidden = !this.#selected.size;
      bar.querySelector(".gallery-selected").textContent = `${this.#selected.size.toLocaleString("en")} selected`;
      this.#showStates(bar, this.#selected.size ? this.#chosen : []);
      this.#mark();
    }

    // What buttons say about the pictures that they would change.
    #showStates(place, pictures) {
      const every = (fits) => String(pictures.length > 0 && pictures.every(fits));
      place.querySelector("[data-do=like]").setAttribute("aria-pressed", every((each) => each.feedback === 1));
      place.querySelector("[data-do=dislike]").setAttribute("aria-pressed", every((each) => each.feedback === -1));
      place.querySelector("[data-do=favourite]").setAttribute("aria-pressed", every((each) => each.favourite));
      const deleted = pictures[0]?.deleted ?? this.#inBin;
      place.querySelector("[data-do=delete]").hidden = deleted;
      place.querySelector("[data-do=restore]").hidden = !deleted;
    }

    // Changes

    // One after the other, so that no answer brings back what a later one has changed.
    #change(change, value = null, pictures = this.#chosen) {
      this.#changing = this.#changing.then(() => this.#changeNow(change, value, pictures));
      return this.#changing;
    }

    async #changeNow(change, value, pictures) {
      const ids = pictures.map((each) => each.id);
      if (!ids.length) return false;
      try {
        for (let start = 0; start < ids.length; start += MOST_CHANGED) {
          const body = { ids: ids.slice(start, start + MOST_CHANGED), change, value };
          for (const changed of (await ask("gallery/changes", body)).pictures) this.#bring(changed);
        }
      } catch (error) {
        this.#say(error.message);
        return false;
      } finally {
        this.#showSelection();
        if (this.dialog.open) this.#showDetailStates();
      }
      if (change === "tag" || change === "untag") this.#loadChoices();
      return true;
    }

    // Brings a picture up to date wherever it is.
    #bring(changed) {
      const index = this.#pictures.findIndex((each) => each.id === changed.id);
      if (index >= 0) this.#pictures[index] = changed;
      const item = this.#items.get(index);
      if (item) this.#update(item, changed);
      if (this.#shown?.id === changed.id) this.#shown = { ...this.#shown, ...changed };
      window.paintdiff.ratings?.bring(changed);
    }

    #rate(feedback) {
      const chosen = this.#chosen;
      const on = chosen.length > 0 && chosen.every((each) => each.feedback === feedback);
      return this.#change("feedback", on ? 0 : feedback);
    }

    #favour() { return this.#change("favourite", !this.#chosen.every((each) => each.favourite)); }

    async #bin(change) {
      const pictures = this.#chosen;
      const shown = this.dialog.open ? this.#indexOf(this.#shown) : -1;
      if (!await this.#change(change, null, pictures)) return;
      this.#takeOut(pictures);
      const back = change === "delete" ? "restore" : "delete";
      const say = change === "delete" ? messages.movedToBin : messages.restored;
      this.#say(say(pictures.length), async () => {
        if (await this.#change(back, null, pictures)) this.#load();
      });
      if (!this.dialog.open) return;
      if (this.#pictures.length && shown >= 0) this.#open(Math.min(shown, this.#pictures.length - 1));
      else this.dialog.close();
    }

    #takeOut(pictures) {
      const gone = new Set(pictures.map((each) => each.id));
      const before = this.#pictures.length;
      this.#pictures = this.#pictures.filter((each) => !gone.has(each.id));
      this.#total = Math.max(0, this.#total - (before - this.#pictures.length));
      for (const id of gone) this.#selected.delete(id);
      this.#active = Math.min(this.#active, Math.max(0, this.#pictures.length - 1));
      this.#clearItems();
      this.#show(null);
      this.#layOut();
    }

    async #emptyBin() {
      this.question.close();
      try {
        const { erased } = await ask("gallery/bin/empty", {});
        this.#say(messages.erased(erased));
      } catch (error) {
        this.#say(error.message);
      }
      this.#load();
      this.#loadChoices();
    }

    #say(text, undo = null) {
      const place = this.#find(".gallery-said");
      const words = element("span", "", text);
      const close = element("button", "gallery-close", "×");
      close.type = "button";
      close.setAttribute("aria-label", "Close");
      close.addEventListener("click", () => place.replaceChildren());
      place.replaceChildren(words);
      if (undo) {
        const button = element("button", "gallery-button", "Undo");
        button.type = "button";
        button.addEventListener("click", () => { place.replaceChildren(); undo(); });
        place.append(button);
      }
      place.append(close);
      if (this.dialog.open) this.#find(".gallery-problem").textContent = text;
    }

    // One picture

    #indexOf(picture) { return this.#pictures.findIndex((each) => each.id === picture?.id); }

    async #open(index) {
      const picture = this.#pictures[index];
      if (!picture) return;
      this.#moveTo(index);
      await this.#showPicture(picture);
    }

    async #showPicture(picture) {
      this.#shown = picture;
      if (!this.dialog.open) {
        this.dialog.showModal();
        this.#find(".gallery-about").focus({ preventScroll: true });
        this.dialog.scrollTop = 0; // on a phone it would begin at what is focused first
      }
      this.#find(".gallery-problem").textContent = "";
      this.#showDetailStates();
      let details;
      try {
        details = await ask(url(picture.id));
      } catch (error) {
        if (this.#shown?.id === picture.id) this.#find(".gallery-problem").textContent = error.message;
        return;
      }
      if (this.#shown?.id !== picture.id || !this.dialog.open) return;
      this.#shown = details;
      this.#fill(details);
    }

    #fill(details) {
      const place = element("div", "viewer-place see-through");
      const { parent } = details;
      Object.assign(place.dataset, {
        after: url(details.id, "file"), alt: details.prompt || "The picture", width: details.width, height: details.height,
        afterSize: times(details), said: parent ? "" : times(details),
        ...(parent ? { before: url(parent.id, "file"), beforeSize: times(parent) } : {}),
      });
      const lost = this.#find(".gallery-shown").contains(document.activeElement);
      this.#find(".gallery-shown").replaceChildren(place);
      if (lost) this.#find(".gallery-about").focus({ preventScroll: true });
      window.paintdiff.viewer.mount(this.dialog);
      this.#find(".gallery-prompt").textContent = details.prompt;
      this.#find(".gallery-note").textContent = details.note;
      this.dialog.querySelector(".save").href = `${url(details.id, "file")}?download=true`;
      for (const button of this.dialog.querySelectorAll("[data-send]")) button.dataset.picture = details.id;
      this.dialog.querySelector("[data-send=text_to_image].act").hidden = !details.usable;
      this.#fillSettings(details);
      this.#fillFamily(details);
      this.#showDetailStates();
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

    #fillFamily({ parent, children }) {
      const place = this.#find(".gallery-family");
      const groups = [
        ...(parent ? [[parent.relation, [parent]]] : []),
        ...(children.length ? [[place.dataset.children, children]] : []),
      ];
      place.replaceChildren(...groups.flatMap(([title, pictures]) => {
        const row = element("div", "gallery-relatives");
        row.append(...pictures.map((each) => {
          const button = element("button");
          button.type = "button";
          button.setAttribute("aria-label", each.prompt || title);
          const image = element("img");
          image.alt = "";
          image.src = url(each.id, "thumbnail");
          button.append(image);
          button.addEventListener("click", () => this.#showPicture(each));
          return button;
        }));
        return [element("h2", "", title), row];
      }));
    }

    #showDetailStates() {
      const index = this.#indexOf(this.#shown);
      this.#showStates(this.dialog, this.#shown ? [this.#shown] : []);
      this.dialog.querySelector("[data-do=previous]").disabled = index <= 0;
      this.dialog.querySelector("[data-do=next]").disabled = index < 0 || index >= this.#pictures.length - 1;
      if (this.dialog.open && !this.dialog.contains(document.activeElement)) this.#find(".gallery-about").focus({ preventScroll: true });
      const list = this.#find("ul.gallery-tags");
      list.hidden = !this.#shown?.tags.length;
      list.replaceChildren(...(this.#shown?.tags ?? []).map((tag) => {
        const item = element("li", "", tag);
        const remove = element("button", "", "×");
        remove.type = "button";
        remove.setAttribute("aria-label", `Remove the tag ${tag}`);
        remove.addEventListener("click", () => this.#change("untag", tag));
        item.append(remove);
        return item;
      }));
    }

    #step(by) {
      const index = this.#indexOf(this.#shown) + by;
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
        unselect: () => { this.#unselect(); this.grid.focus(); },
        clear: () => this.#clearFilters(),
        again: () => { this.#load(); this.#loadChoices(); },
        "ask-empty": () => this.question.showModal(),
        keep: () => this.question.close(),
        erase: () => this.#emptyBin(),
        previous: () => this.#step(-1),
        next: () => this.#step(1),
        close: () => this.dialog.close(),
      })[name]?.();
    }

    #clearFilters() {
      for (const name of ["search", "model", "kind", "feedback", "tag"]) this.#field(name).value = "";
      if (this.#field("view").value === "favourite") this.#field("view").value = "";
      this.#field("search").focus();
      this.#load();
    }

    #listen() {
      const { root, grid, scroll, dialog } = this;
      root.addEventListener("click", (event) => {
        const button = event.target.closest("[data-do]");
        if (button && !button.closest(".viewer")) this.#act(button.dataset.do);
        else if (event.target === dialog && !contains(dialog, event)) dialog.close();
        if (event.target.closest("[data-send]")) dialog.close();
      });
      this.#field("search").addEventListener("input", () => {
        clearTimeout(this.#typing);
        this.#typing = setTimeout(() => this.#load(), TYPING_MS);
      });
      for (const select of root.querySelectorAll(".gallery-bar select")) {
        select.addEventListener("change", () => { clearTimeout(this.#typing); this.#load(); });
      }
      for (const form of root.querySelectorAll(".gallery-tag-form")) {
        form.addEventListener("submit", (event) => { event.preventDefault(); this.#tag(form); });
      }
      let drawing = 0;
      scroll.addEventListener("scroll", () => {
        cancelAnimationFrame(drawing);
        drawing = requestAnimationFrame(() => this.#draw());
      }, { passive: true });
      grid.addEventListener("click", (event) => this.#clicked(event));
      grid.addEventListener("keydown", (event) => this.#gridKey(event));
      dialog.addEventListener("keydown", (event) => this.#detailKey(event));
      dialog.addEventListener("close", () => {
        this.#find(".gallery-shown").replaceChildren(); // frees the pixels
        this.#shown = null;
        this.#showSelection();
        if (!grid.hidden && grid.checkVisibility()) grid.focus({ preventScroll: true });
      });
      this.#listenToSwipes();
      document.addEventListener("visibilitychange", () => {
        if (document.visibilityState === "visible" && this.#seen) this.#refresh();
      });
    }

    async #tag(form) {
      const field = form.elements.tag;
      const tag = field.value.trim();
      if (tag && await this.#change("tag", tag)) field.value = "";
    }

    #clicked(event) {
      const item = event.target.closest(".gallery-item");
      if (!item) return;
      const index = this.#indexOf(item.dataset);
      this.grid.focus({ preventScroll: true });
      if (event.shiftKey) this.#selectTo(index);
      else if (event.ctrlKey || event.metaKey || event.target.closest(".gallery-check")) this.#toggle(index);
      else return this.#open(index);
      this.#active = index;
      this.#showSelection();
    }

    #gridKey(event) {
      const { key } = event;
      const page = Math.max(1, Math.floor(this.scroll.clientHeight / (this.#cell + GAP_PX))) * this.#columns;
      const steps = {
        ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.#columns, ArrowDown: this.#columns, PageUp: -page, PageDown: page,
        Home: -this.#active, End: this.#pictures.length - 1 - this.#active,
      };
      if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "a") {
        for (const index of this.#pictures.keys()) this.#select(index);
        this.#showSelection();
      } else if (event.ctrlKey || event.metaKey || event.altKey) {
        return;
      } else if (key in steps) {
        this.#moveTo(this.#active + steps[key]);
        if (event.shiftKey) this.#selectTo(this.#active);
        else this.#anchor = this.#active;
        this.#showSelection();
      } else if (key === "Enter") {
        this.#open(this.#active);
      } else if (key === " ") {
        this.#toggle(this.#active);
        this.#showSelection();
      } else if (key === "Escape" && this.#selected.size) {
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
        f: () => this.#favour(), ...(this.#inBin ? {} : { Delete: () => this.#bin("delete") }),
      };
      const act = acts[key.length === 1 ? key.toLowerCase() : key];
      if (act && !repeat) act();
      return Boolean(act);
    }

    #detailKey(event) {
      const { key, target } = event;
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || target.matches("input")) return;
      const steps = { ArrowLeft: -1, ArrowRight: 1 };
      if (key in steps && !target.closest(".viewer")) this.#step(steps[key]);
      else if (!this.#changeKey(event)) return;
      event.preventDefault();
    }

    // A swipe leads to the next picture, unless it moves this one or what divides it from the one before.
    #listenToSwipes() {
      const place = this.#find(".gallery-shown");
      let from = null;
      place.addEventListener("touchstart", ({ touches }) => {
        const viewer = place.querySelector(".viewer-alone:not(.viewer-roams)");
        from = touches.length === 1 && viewer ? { x: touches[0].clientX, y: touches[0].clientY } : null;
      }, { passive: true });
      place.addEventListener("touchend", ({ changedTouches: [{ clientX, clientY }] }) => {
        if (!from) return;
        const [x, y] = [clientX - from.x, clientY - from.y];
        if (Math.abs(x) > SWIPE_PX && Math.abs(x) > 2 * Math.abs(y)) this.#step(x < 0 ? 1 : -1);
        from = null;
      }, { passive: true });
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
  return { mount, ask };
})();

// Like and dislike below a picture that was just painted.
window.paintdiff.ratings = (() => {
  const { ask } = window.paintdiff.gallery;
  const known = new Map(); // feedback by the picture's id
  const groups = (place) => place.querySelectorAll("[data-rated]");

  function show(group) {
    const feedback = known.get(group.dataset.rated) ?? 0;
    for (const button of group.querySelectorAll("[data-rate]")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.rate) === feedback));
    }
  }

  function bring({ id, feedback }) {
    known.set(id, feedback);
    for (const group of groups(document)) if (group.dataset.rated === id) show(group);
  }

  // A page that was loaded again doesn't know what was said before.
  function mount(place) {
    for (const group of groups(place)) {
      const id = group.dataset.rated;
      show(group);
      if (known.has(id)) continue;
      known.set(id, 0);
      ask(`gallery/pictures/${id}`).then(bring, () => known.delete(id)); // a click says what is wrong
    }
  }

  document.addEventListener("click", async (event) => {
    const button = event.target instanceof Element && event.target.closest("[data-rate]");
    if (!button) return;
    const group = button.closest("[data-rated]");
    const on = button.getAttribute("aria-pressed") === "true";
    const value = on ? 0 : Number(button.dataset.rate);
    try {
      const { pictures } = await ask("gallery/changes", { ids: [group.dataset.rated], change: "feedback", value });
      group.querySelector(".rate-problem").textContent = "";
      pictures.forEach(bring);
    } catch (error) {
      group.querySelector(".rate-problem").textContent = error.message;
    }
  });

  mount(document);
  return { bring, mount };
})();
