// What the browser keeps of a canvas over a reload: its picture, its layers and its brushes, in IndexedDB.
"use strict";

Object.assign(window.paintdiff.canvas, (() => {
  const DATABASE = "paintdiff.canvas";
  const STORE = "parts";
  const PARTS = ["picture", "sketch", "mask", "brushes"];

  function finished(request) {
    return new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  }

  class Memory {
    #database = null;

    constructor(name) { this.name = name; }

    // {picture, sketch, mask, brushes} as they were kept; what was never kept is undefined.
    async read() {
      const store = (await this.#opened()).transaction(STORE).objectStore(STORE);
      const contents = await Promise.all(PARTS.map((part) => finished(store.get(this.#key(part)))));
      return Object.fromEntries(PARTS.map((part, index) => [part, contents[index]]));
    }

    // Keeps the given parts, all or none of them; a part that is null is forgotten.
    async write(parts) {
      const database = this.#database instanceof IDBDatabase ? this.#database : await this.#opened();
      const transaction = database.transaction(STORE, "readwrite");
      const store = transaction.objectStore(STORE);
      for (const [part, content] of Object.entries(parts)) {
        if (content === null) store.delete(this.#key(part));
        else store.put(content, this.#key(part));
      }
      transaction.commit(); // at once: the page may be about to go
      await new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = () => reject(transaction.error);
      });
    }

    #key(part) { return `${this.name}/${part}`; }

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
