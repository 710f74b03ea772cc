// A list of pictures, to be worked on one after the other: files and folders that are opened, dropped or pasted.
// Its value is `{pictures: [ids of uploads]}`. Names of files are only ever set as textContent.
"use strict";

Object.assign(window.paintdiff.canvas, (() => {
  const { CanvasError, Sent, senders, decoded, checkPixels, kindOf, reencoded } = window.paintdiff.canvas;
  const { messages } = window.paintdiff;
  const THUMBNAIL_PX = 88;
  const SHOWN_REFUSALS = 6;
  const KEY = (name) => `paintdiff.list.${name}`;
  const WRITTEN_IN = "input:not([type=range], [type=checkbox], [type=radio], [type=button]), textarea, select";

  const icon = (shapes) => `<svg viewBox="0 0 24 24" aria-hidden="true">${shapes}</svg>`;
  const PICTURE = icon('<rect x="3" y="5" width="18" height="14" rx="2"/><circle cx="8.5" cy="10" r="1.5"/>' +
    '<path d="M4 17.5l5.5-5 4 4 2.5-2.5 4 4"/>');
  const button = (action, text, kind = "") =>
    `<button type="button" class="${kind}" data-do="${action}">${text}</button>`;
  const MARKUP = `<div class="pile" role="group" aria-label="Pictures to enlarge">
    <div class="pile-empty">${PICTURE}<p>Drop pictures or a folder here, paste one, or open files.</p>
      <div>${button("files", "Open files", "pile-main")}${button("folder", "Open a folder")}</div></div>
    <ul class="pile-list" aria-label="Pictures to enlarge"></ul>
    <ul class="pile-refused" aria-label="What can’t be used" aria-live="assertive"></ul>
    <div class="pile-foot"><span class="pile-count" role="status"></span><div>${button("files", "Add files")}
      ${button("folder", "Add a folder")}${button("clear", "Clear")}</div></div>
    <input type="file" accept="image/*" multiple hidden aria-label="Picture files">
    <input type="file" webkitdirectory hidden aria-label="A folder of pictures"></div>`;
  const ROW = `<li class="pile-row"><span class="pile-thumbnail">${PICTURE}</span>
    <span class="pile-words"><span class="pile-name"></span><span class="pile-size"></span></span>
    <button type="button" data-do="remove">${icon('<path d="M7 7l10 10M17 7L7 17"/>')}</button></li>`;

  function built(markup) {
    const template = document.createElement("template");
    template.innerHTML = markup;
    return template.content.firstElementChild;
  }

  const idsIn = (value) => (Array.isArray(value?.pictures) ? value.pictures : []);
  const { byteSize } = window.paintdiff;

  // The files in what was dropped, those in folders too. It has to be asked for while the event is young.
  async function droppedFiles(transfer) {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = [...transfer.files];
    if (!entries.some((entry) => entry.isDirectory)) return files;
    return (await Promise.all(entries.map(filesOf))).flat();
  }

  async function filesOf(entry) {
    if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
    const reader = entry.createReader();
    const found = [];
    for (;;) { // a folder is read in parts
      const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (part.length === 0) break;
      found.push(...part);
    }
    return (await Promise.all(found.map(filesOf))).flat();
  }

  async function thumbnail(blob) {
    const bitmap = await createImageBitmap(blob, { resizeHeight: THUMBNAIL_PX, resizeQuality: "medium" });
    const sheet = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
    sheet.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
    return sheet;
  }

  class PictureList {
    #props = null;
    #trigger = () => {};
    #items = []; // {name, sent, width, height, row}; the size is 0 until it has been sent
    #work = Promise.resolve(); // files are sent one after the other
    #waiting = 0;

    // `limits`: the most pictures, the most bytes of one and of all together, the most pixels of one.
    constructor(name, limits) {
      Object.assign(this, { name, limits, root: built(MARKUP) });
      this.list = this.root.querySelector(".pile-list");
      this.refused = this.root.querySelector(".pile-refused");
      [this.files, this.folder] = this.root.querySelectorAll("input");
      this.root.addEventListener("click", (event) => this.#clicked(event));
      this.files.addEventListener("change", () => this.#chosen(this.files));
      this.folder.addEventListener("change", () => this.#chosen(this.folder));
      this.#acceptFiles();
      this.#restore();
      this.#update();
    }

    // The page makes our place and may rebuild it: the list then moves in unchanged.
    attach({ element, props, trigger, watch }) {
      this.#props = props;
      this.#trigger = trigger;
      element.querySelector(".pile-place").replaceChildren(this.root);
      watch("value", () => this.#valueSet(props.value));
      if (props.value) this.#valueSet(props.value);
      else if (this.#items.length > 0) this.#changed();
    }

    // The value, once all pictures have reached the server. If one can't get there, it is said, and the promise is
    // rejected.
    async flush() {
      await this.#work;
      for (const item of this.#items) {
        try {
          await item.sent.known();
        } catch (error) {
          this.#refuse(item.name, this.#words(error));
          throw error;
        }
      }
      this.#publish();
      return this.#value();
    }

    // Files that a person has brought. What lies in a folder beside its pictures is left out without a word.
    add(files, fromFolder = false) {
      this.#forgive();
      const pictures = files.filter((file) => file.type.startsWith("image/") && !file.name.startsWith("."));
      if (!fromFolder) {
        for (const file of files) if (!pictures.includes(file)) this.#refuse(file.name, messages.CANNOT_OPEN);
      } else if (pictures.length === 0) {
        this.#refuse(messages.FOLDER, messages.FOLDER_WITHOUT_PICTURE);
      }
      const room = this.limits.count - this.#items.length;
      if (pictures.length > room) {
        const left = pictures.length - room;
        this.#refuse(messages.countPictures(left), messages.tooManyPictures(this.limits.count));
      }
      const sorted = pictures.slice(0, Math.max(0, room));
      if (fromFolder) sorted.sort((one, other) => one.name.localeCompare(other.name, undefined, { numeric: true }));
      for (const file of sorted) {
        const item = this.#listed(file.name, new Sent(file));
        this.#later(() => this.#send(item));
      }
    }

    // Items

    #listed(name, sent, width = 0, height = 0) {
      const item = { name, sent, width, height, row: built(ROW) };
      item.row.querySelector(".pile-name").textContent = name;
      item.row.querySelector("button").setAttribute("aria-label", `Remove ${name}`);
      this.#items.push(item);
      this.list.append(item.row);
      this.#describe(item);
      this.#update();
      return item;
    }

    #describe(item) {
      item.row.classList.toggle("pile-busy", item.width === 0);
      item.row.querySelector(".pile-size").textContent = item.width ? `${item.width}x${item.height}` : "Sending…";
    }

    async #send(item) {
      const { limits } = this;
      try {
        const { readable, pixels } = await kindOf(item.sent.blob);
        checkPixels(pixels, limits.pixels, false); // before it is decoded
        if (!readable) item.sent = new Sent(await reencoded(await decoded(item.sent.blob)));
        this.#checkBytes(item);
        if (!this.#items.includes(item)) return; // it has been removed meanwhile
        await item.sent.known();
        Object.assign(item, { width: item.sent.answer.width, height: item.sent.answer.height });
        this.#describe(item);
        await this.#picture(item);
      } catch (error) {
        this.#remove(item);
        this.#refuse(item.name, this.#words(error));
      }
    }

    #checkBytes({ sent }) {
      const { bytes, allBytes } = this.limits;
      if (sent.blob.size > bytes) {
        throw new CanvasError(messages.fileTooLarge(byteSize(sent.blob.size), byteSize(bytes)));
      }
      const all = this.#items.reduce((sum, item) => sum + (item.width ? item.sent.blob?.size ?? 0 : 0), sent.blob.size);
      if (all > allBytes) throw new CanvasError(messages.filesTooLarge(byteSize(allBytes)));
    }

    async #picture(item) {
      try {
        item.row.querySelector(".pile-thumbnail").replaceChildren(await thumbnail(item.sent.blob));
      } catch { /* the browser can't show it small; the server could read it */ }
    }

    #remove(item) {
      this.#items = this.#items.filter((each) => each !== item);
      item.row.remove();
      this.#update();
    }

    #clear() {
      for (const item of this.#items) item.row.remove();
      this.#items = [];
      this.#forgive();
    }

    // Runs after all earlier work; the page hears when nothing is left to do.
    #later(task) {
      this.#waiting += 1;
      this.#work = this.#work.then(task).catch((error) => console.error(error)).then(() => {
        this.#waiting -= 1;
        if (this.#waiting === 0) this.#changed();
      });
    }

    // The component's value

    #value() { return { pictures: this.#items.filter((item) => item.sent.id).map((item) => item.sent.id) }; }

    #publish() {
      const value = this.#value();
      if (this.#props && JSON.stringify(idsIn(this.#props.value)) !== JSON.stringify(value.pictures)) {
        this.#props.value = value;
      }
    }

    #changed() {
      this.#update();
      this.#keep();
      this.#publish();
      this.root.dispatchEvent(new CustomEvent("paintdiff-changed", { bubbles: true }));
      this.#trigger("input");
    }

    // The app has set a value: pictures in place of those that are there.
    #valueSet(value) {
      const ids = idsIn(value);
      if (JSON.stringify(ids) === JSON.stringify(this.#value().pictures)) return;
      this.#clear();
      this.#fetch(ids.map((id) => ({ id, name: "From another tab" })));
    }

    // Pictures that the server knows by their ids.
    #fetch(known) {
      for (const { id, name, width, height } of known) {
        const item = this.#listed(name, new Sent(null, id), width, height);
        this.#later(async () => {
          try {
            item.sent = await Sent.of(id);
            if (!item.width) await this.#measure(item);
            await this.#picture(item);
          } catch (error) {
            this.#remove(item);
            this.#refuse(item.name, this.#words(error));
          }
        });
      }
      this.#update();
    }

    async #measure(item) {
      const bitmap = await createImageBitmap(item.sent.blob);
      Object.assign(item, { width: bitmap.width, height: bitmap.height });
      bitmap.close();
      this.#describe(item);
    }

    // A reload finds the list again, for as long as the server keeps the pictures.

    #keep() {
      const known = this.#items.map(({ name, sent, width, height }) => ({ id: sent.id, name, width, height }));
      try { window.sessionStorage.setItem(KEY(this.name), JSON.stringify(known)); } catch { /* then it forgets */ }
    }

    #restore() {
      let known = [];
      try { known = JSON.parse(window.sessionStorage.getItem(KEY(this.name)) ?? "[]"); } catch { /* see above */ }
      this.#fetch(known.filter((each) => typeof each?.id === "string").slice(0, this.limits.count));
    }

    // What is said

    #words(error) {
      if (error instanceof CanvasError) return error.message;
      console.error(error);
      return messages.somethingWrong(error.message);
    }

    #refuse(name, reason) {
      const row = document.createElement("li");
      const file = document.createElement("b");
      file.textContent = name;
      row.append(file, ` ${reason}`);
      this.refused.append(row);
      this.#update();
    }

    #forgive() {
      this.refused.replaceChildren();
      this.#update();
    }

    #update() {
      const { root, refused } = this;
      const count = this.#items.length;
      root.classList.toggle("pile-none", count === 0);
      root.querySelector(".pile-count").textContent = count === 1 ? "1 picture" : `${count} pictures`;
      refused.dataset.more = refused.children.length > SHOWN_REFUSALS
        ? `… and ${refused.children.length - SHOWN_REFUSALS} more` : "";
    }

    // How files come

    #clicked(event) {
      const action = event.target.closest("[data-do]")?.dataset.do;
      if (action === "files") this.files.click();
      else if (action === "folder") this.folder.click();
      else if (action === "clear") this.#clear();
      else if (action === "remove") this.#removeAt(event.target.closest("li"));
      if (action === "clear" || action === "remove") this.#changed();
    }

    // The focus goes on to the next one.
    #removeAt(row) {
      const next = row.nextElementSibling ?? row.previousElementSibling;
      this.#remove(this.#items.find((item) => item.row === row));
      (next?.querySelector("button") ?? this.root.querySelector(".pile-empty button")).focus();
    }

    #chosen(input) {
      const files = [...input.files];
      input.value = ""; // so that the same files can be chosen again
      if (files.length > 0) this.add(files, input === this.folder);
    }

    #acceptFiles() {
      const { root } = this;
      root.addEventListener("dragover", (event) => {
        if (!event.dataTransfer.types.includes("Files")) return;
        event.preventDefault();
        root.classList.add("pile-over");
      });
      root.addEventListener("dragleave", (event) => {
        if (!root.contains(event.relatedTarget)) root.classList.remove("pile-over");
      });
      root.addEventListener("drop", (event) => {
        root.classList.remove("pile-over");
        if (!event.dataTransfer.types.includes("Files")) return;
        event.preventDefault();
        const count = event.dataTransfer.files.length;
        droppedFiles(event.dataTransfer).then(
          (files) => this.add(files, files.length !== count),
          () => this.#refuse(messages.FOLDER, messages.FOLDER_UNREADABLE),
        );
      });
      document.addEventListener("paste", (event) => {
        const files = [...event.clipboardData.files];
        if (files.length === 0 || !root.checkVisibility() || document.activeElement?.closest(WRITTEN_IN)) return;
        event.preventDefault();
        this.add(files);
      });
    }
  }

  function mountLists() {
    for (const place of (window.paintdiffLists ?? []).splice(0)) {
      const { name, ...figures } = place.element.querySelector(".pile-place").dataset;
      const limits = {
        count: Number(figures.mostPictures),
        bytes: Number(figures.mostBytes),
        allBytes: Number(figures.mostBytesTogether),
        pixels: Number(figures.mostPixels),
      };
      if (!senders.has(name)) senders.set(name, new PictureList(name, limits));
      senders.get(name).attach(place);
    }
  }

  mountLists();
  return { mountLists };
})());
