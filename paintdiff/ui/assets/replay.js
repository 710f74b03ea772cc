// Replays: a dialog that steps through how a picture came about, verifies it, continues it with other settings,
// and downloads it as an animation. Any button with data-replay="ID" (a picture's id in the gallery) opens it.
// The routes are those of ui/replay/routes.py. Text is only ever set as textContent.
"use strict";

window.paintdiff.replay = (() => {
  const { messages } = window.paintdiff;
  const POLL_MS = 400, PLAY_MS = 150, NOT_RESPONDING_AFTER = 5;
  const MARKUP = `<dialog id="replay-dialog" aria-labelledby="replay-title">
    <header><h2 id="replay-title"></h2><button type="button" class="act" data-do="close"></button></header>
    <div class="replay-view"><img class="replay-image"><p class="replay-said" role="status"></p></div>
    <div class="replay-steps">
      <button type="button" class="act" data-do="play"></button>
      <input type="range" min="0" max="0" value="0"><output></output>
    </div>
    <ul class="replay-verified"></ul>
    <div class="replay-foot">
      <details class="replay-continue"><summary class="act"></summary><form>
        <label><span></span><textarea name="prompt" rows="2" maxlength="10000"></textarea></label>
        <label><span></span><textarea name="negative_prompt" rows="1" maxlength="10000"></textarea></label>
        <label><span></span><input name="guidance_scale" type="number" min="0" max="50" step="any"></label>
        <label><span></span><input name="seed" type="number" min="0" max="4294967295" step="1"></label>
        <button type="submit" class="act"></button></form></details>
      <span class="replay-download"><select></select><a class="save" download></a></span>
    </div></dialog>`;
  const FORMATS = [["webm", "WebM"], ["mp4", "MP4"], ["webp", "WebP"], ["gif", "GIF"]];
  const FIELDS = ["prompt", "negative_prompt", "guidance_scale", "seed"];

  // Ask a route; throw an Error with its message if it refuses.
  async function ask(path, content) {
    const options = content === undefined
      ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) };
    const answer = await fetch(path, { ...options, cache: "no-store" }).catch(() => null);
    if (!answer) throw new Error(messages.NOT_RESPONDING);
    const found = await answer.json().catch(() => ({}));
    if (answer.ok) return found;
    throw new Error(typeof found.detail === "string" ? found.detail : messages.REPLAY_REFUSED);
  }

  class Dialog {
    #id = ""; // the picture's
    #run = null; // the replay, as its route describes it
    #turn = 0; // of the latest replay: what an earlier one says isn't shown
    #playing = 0;

    constructor() {
      const template = document.createElement("template");
      template.innerHTML = MARKUP;
      this.root = template.content.firstElementChild;
      document.body.append(this.root);
      this.image = this.#find(".replay-image");
      this.said = this.#find(".replay-said");
      this.slider = this.#find("input[type=range]");
      this.form = this.#find("form");
      this.#name();
      this.#listen();
    }

    #find(selector) { return this.root.querySelector(selector); }

    #name() {
      const texts = {
        "#replay-title": messages.REPLAY, "[data-do=close]": messages.CLOSE, "[data-do=play]": messages.PLAY,
        summary: messages.CONTINUE_FROM_HERE, "[type=submit]": messages.CONTINUE, ".save": messages.DOWNLOAD_ANIMATION,
      };
      for (const [selector, text] of Object.entries(texts)) this.#find(selector).textContent = text;
      this.form.querySelectorAll("label span").forEach((span, index) => { span.textContent = messages.CONTINUE_FIELDS[index]; });
      this.slider.setAttribute("aria-label", messages.STEP);
      const select = this.#find("select");
      select.setAttribute("aria-label", messages.FORMAT);
      select.append(...FORMATS.map(([value, title]) => new Option(title, value)));
    }

    #listen() {
      this.root.addEventListener("close", () => this.#stop());
      this.#find("[data-do=close]").addEventListener("click", () => this.root.close());
      this.#find("[data-do=play]").addEventListener("click", () => (this.#playing ? this.#pause() : this.#play()));
      this.slider.addEventListener("input", () => { this.#pause(); this.#showStep(); });
      this.#find("select").addEventListener("change", () => this.#showDownload());
      this.form.addEventListener("submit", (event) => { event.preventDefault(); this.#continue(); });
    }

    open(id) {
      this.#id = id;
      this.#run = null;
      this.root.classList.remove("replay-ready");
      this.form.reset();
      this.#find("details").open = false;
      this.#find(".replay-verified").replaceChildren();
      this.image.removeAttribute("src");
      this.image.src = `gallery/pictures/${encodeURIComponent(id)}/file`;
      this.image.alt = messages.REPLAY;
      this.root.showModal();
      this.#follow("replays", { id }, (run) => this.#show(run));
    }

    // Start a run and ask how far it is, until it is done; then call `done`.
    async #follow(path, content, done) {
      const turn = ++this.#turn;
      let run = null, failures = 0;
      this.#say(messages.STARTING);
      try {
        run = await ask(path, content);
        while (!run.done && turn === this.#turn) {
          this.#say(run.said);
          await new Promise((go) => setTimeout(go, POLL_MS));
          run = await ask(`replays/${encodeURIComponent(run.run)}`).catch((error) => {
            if (++failures > NOT_RESPONDING_AFTER) throw error;
            return run;
          });
        }
      } catch (error) {
        if (turn === this.#turn) this.#say(error.message);
        return;
      }
      if (turn !== this.#turn) {
        if (path === "replays") ask(`replays/${encodeURIComponent(run.run)}/cancel`, {}).catch(() => {}); // nobody watches
        return;
      }
      this.#say(run.failed ? run.said : run.warnings.join(" "));
      if (!run.failed) done(run);
    }

    #show(run) {
      this.#run = run;
      this.slider.max = run.steps.length - 1;
      this.slider.value = this.slider.max;
      this.#find(".replay-verified").replaceChildren(...run.verified.map((line) => {
        const item = document.createElement("li");
        item.textContent = line;
        return item;
      }));
      this.root.dataset.identical = run.verified[0] === messages.IDENTICAL;
      this.root.classList.add("replay-ready");
      this.#showStep();
      this.#showDownload();
    }

    get #step() { return this.#run.steps[this.slider.value]; }

    #showStep() {
      if (!this.#run) return;
      const last = Number(this.slider.value) === this.#run.steps.length - 1;
      this.image.src = last
        ? `gallery/pictures/${encodeURIComponent(this.#id)}/file`
        : `replays/${encodeURIComponent(this.#run.run)}/frames/${this.slider.value}`;
      const text = messages.stepOf(this.#step, this.#run.total);
      this.#find("output").textContent = text;
      this.slider.setAttribute("aria-valuetext", text);
      this.#find("[type=submit]").disabled = last; // nothing is left to continue
    }

    #showDownload() {
      if (!this.#run) return;
      const format = this.#find("select").value;
      this.#find(".save").href = `replays/${encodeURIComponent(this.#run.run)}/animation?format=${format}&fps=60`;
    }

    #play() {
      if (!this.#run) return;
      if (this.slider.value === this.slider.max) this.slider.value = 0;
      this.#find("[data-do=play]").textContent = messages.PAUSE;
      this.#playing = setInterval(() => {
        if (this.slider.value === this.slider.max) return this.#pause();
        this.slider.value = Number(this.slider.value) + 1;
        this.#showStep();
      }, PLAY_MS);
      this.#showStep();
    }

    #pause() {
      clearInterval(this.#playing);
      this.#playing = 0;
      this.#find("[data-do=play]").textContent = messages.PLAY;
    }

    #continue() {
      const wanted = { id: this.#id, after_step: this.#step };
      for (const name of FIELDS) {
        const value = this.form.elements[name].value.trim();
        if (value) wanted[name] = ["guidance_scale", "seed"].includes(name) ? Number(value) : value;
      }
      if (Object.keys(wanted).length === 2) return this.#say(messages.NOTHING_TO_CONTINUE_WITH);
      this.#follow("replays/continue", wanted, (run) => (run.picture ? this.open(run.picture) : this.#say(run.said)));
    }

    #say(text) {
      this.said.textContent = text;
      this.said.hidden = !text;
    }

    #stop() {
      this.#pause();
      this.#turn += 1;
    }
  }

  let dialog = null;
  const open = (id) => (dialog ??= new Dialog()).open(id);
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-replay]");
    if (button) open(button.dataset.replay);
  });
  return { open };
})();
