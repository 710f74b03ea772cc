// Variations of a picture of the Gallery tab: the dialog that asks for them, and what becomes of them.
"use strict";

window.paintdiff.GalleryVariations = (() => {
  const FOLLOW_MS = 1000;
  const { ask, closeOutside } = window.paintdiff.galleryTools;
  const { messages } = window.paintdiff;

  // `said(run)` is told what a run does; run.pictureId is the picture that is varied.
  return class Variations {
    #picture = null;
    #strengths = {}; // by what is varied

    constructor(dialog, said) {
      Object.assign(this, { dialog, said, form: dialog.querySelector("form") });
      closeOutside(dialog);
      for (const each of this.form.elements.of) this.#strengths[each.value] = each.dataset.strength;
      this.form.addEventListener("submit", (event) => { event.preventDefault(); this.#start(); });
      this.form.addEventListener("input", (event) => this.#changed(event.target));
    }

    ask(picture) {
      this.#picture = picture;
      const [seed, pixels] = this.form.elements.of;
      seed.disabled = !picture.seeded;
      if (!picture.seeded) pixels.checked = true;
      this.#find(".vary-note").textContent = picture.varied ? messages.VARIES_ORIGINAL : picture.seeded ? "" : messages.SEED_UNKNOWN;
      this.#find(".gallery-problem").textContent = "";
      this.#showStrength();
      this.dialog.showModal();
    }

    #find(selector) { return this.dialog.querySelector(selector); }

    #changed(field) {
      const { of, strength } = this.form.elements;
      if (field === strength) this.#strengths[of.value] = strength.value;
      this.#showStrength();
    }

    #showStrength() {
      const { of, strength } = this.form.elements;
      strength.value = this.#strengths[of.value];
      this.#find("output").textContent = strength.value;
    }

    async #start() {
      const { of, strength, count, start } = this.form.elements;
      const pictureId = this.#picture.id;
      start.disabled = true; // so that a double click is one
      try {
        const wish = { id: pictureId, of: of.value, strength: Number(strength.value), count: Number(count.value) };
        const run = await ask("gallery/variations", wish);
        this.dialog.close();
        this.#follow({ ...run, pictureId });
      } catch (error) {
        this.#find(".gallery-problem").textContent = error.message;
      } finally {
        start.disabled = false;
      }
    }

    async #follow(run) {
      this.said(run);
      while (!run.done) {
        await new Promise((resume) => setTimeout(resume, FOLLOW_MS));
        if (document.visibilityState !== "visible") continue;
        try {
          run = { ...run, ...await ask(`gallery/variations/${run.job}`) };
        } catch (error) {
          run = { ...run, done: true, failed: true, said: error.message };
        }
        this.said(run);
      }
    }

    cancel(run) { return ask(`gallery/variations/${run.job}/cancel`, {}); }
  };
})();
