// What the browser keeps of a canvas over a reload: its picture, its layers and its brushes, in IndexedDB.
// Each tab of the browser keeps its own; a new one begins with what another has kept last.
"use strict";

Object.assign(window.paintdiff.canvas, (() => {
  const DATABASE = "paintdiff.canvas";
  const STORE = "parts";
  const PARTS = ["picture", "sketch", "mask", "brushes"];
  const TAB = "paintdiff.canvas.tab"; // in the session's storage: who this tab of the browser is
  const MOST_TABS = 8; // that drawings are kept of

  function finished(request) {
    return new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  }

  function ended(transaction) {
    return new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
  }

  // Without a session's storage all tabs are the same.
  function thisTab() {
    try {
      if (!sessionStorage.getItem(TAB)) sessionStorage.setItem(TAB, Math.random().toString(36).slice(2));
      return sessionStorage.getItem(TAB);
    } catch { return "any"; }
  }

  class Memory {
    #database = null;

    constructor(name) {
      this.name = name;
      this.tab = thisTab();
    }

    // {picture, sketch, mask, brushes} as they were kept; what was never kept is undefined.
    async read() {
      const transaction = (await this.#opened()).transaction(STORE, "readwrite");
      const store = transaction.objectStore(STORE);
      if ((await finished(store.get(this.#seen(this.tab)))) === undefined) await this.#inherit(store);
      const contents = await Promise.all(PARTS.map((part) => finished(store.get(this.#key(this.tab, part)))));
      await ended(transaction);
      return Object.fromEntries(PARTS.map((part, index) => [part, contents[index]]));
    }

    // Keeps the given parts, all or none of them; a part that is null is forgotten.
    async write(parts) {
      const database = this.#database instanceof IDBDatabase ? this.#database : await this.#opened();
      const transaction = database.transaction(STORE, "readwrite");
      const store = transaction.objectStore(STORE);
      for (const [part, content] of Object.entries(parts)) {
        if (content === null) store.delete(this.#key(this.tab, part));
        else store.put(content, this.#key(this.tab, part));
      }
      store.put(Date.now(), this.#seen(this.tab));
      transaction.commit(); // at once: the page may be about to go
      await ended(transaction);
    }

    // Copies what another tab has kept last, and forgets what was kept longest ago.
    async #inherit(store) {
      const all = IDBKeyRange.bound(this.#seen(""), this.#seen("\uffff"));
      const [keys, times] = await Promise.all([finished(store.getAllKeys(all)), finished(store.getAll(all))]);
      const tabs = keys.map((key, index) => ({ tab: key.slice(this.#seen("").length), time: times[index] }));
      tabs.sort((one, other) => other.time - one.time);
      for (const part of PARTS) {
        // Before tabs were told apart there was one drawing.
        const found = await finished(store.get(tabs.length ? this.#key(tabs[0].tab, part) : `${this.name}/${part}`));
        store.delete(`${this.name}/${part}`);
        if (found !== undefined) store.put(found, this.#key(this.tab, part));
      }
      store.put(Date.now(), this.#seen(this.tab));
      for (const { tab } of tabs.slice(MOST_TABS - 1)) {
        store.delete(this.#seen(tab));
        for (const part of PARTS) store.delete(this.#key(tab, part));
      }
    }

    #key(tab, part) { return `${tab}/${this.name}/${part}`; }

    // When a tab has kept something is under this key.
    #seen(tab) { return `seen/${this.name}/${tab}`; }

    async #opened() {
      if (!this.#database) {
        const request = indexedDB.open(DATABASE, 1);
        request.onupgradeneeded = () => request.result.createObjectStore(STORE);
        this.#database = await finished(request);
      }
      return this.#database;
    }
  }

  return { Memory };
})());
