// The rows of the LoRAs that a prompt names: they write into the prompt, which is the one place where LoRAs are kept.
"use strict";

window.paintdiff.adapters = (() => {
  const WRITTEN_MS = 100;  // Gradio takes a moment to notice what was written
  const TAG = /\\<|<(?:lora|lyco):((?:\\.|[^\\:<>])+)(?::[^<>]*)?>/gi;

  function promptOf(element) {
    const id = element.closest("[data-prompt]")?.dataset.prompt;
    return id ? document.querySelector(`#${CSS.escape(id)} textarea`) : null;
  }

  // As if it had been typed, so that Gradio takes notice.
  function write(box, text) {
    box.value = text;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function nameOf(written) {
    return written?.replace(/\\([^\p{L}\p{N}_])/gu, "$1").trim();  // before a letter it stands between folders
  }

  function escaped(name) {
    return name.replace(/[\\:<>]/g, "\\$&");
  }

  function tagOf(name, weight) {
    return `<lora:${escaped(name)}:${weight}>`;
  }

  function replaced(text, name, tag) {
    return text.replace(TAG, (whole, written) => (nameOf(written) === name ? tag : whole));
  }

  function renamed(text, name, other) {
    return text.replace(TAG, (whole, written) => (nameOf(written) === name ? whole.replace(written, () => escaped(other)) : whole));
  }

  // Below a warning that no word of the prompt is known: a word that is.
  document.addEventListener("click", (event) => {
    const choice = event.target instanceof Element && event.target.closest("[data-insert]");
    const box = choice && promptOf(choice);
    if (!box) return;
    add(box, choice.dataset.insert);
    box.focus();
  });

  // Below an error about a LoRA that isn't there: take another, or none, and paint.
  document.addEventListener("click", (event) => {
    const choice = event.target instanceof Element && event.target.closest("[data-missing] button");
    const box = choice && promptOf(choice);
    if (!box) return;
    const { missing, generate } = choice.closest("[data-missing]").dataset;
    const { instead } = choice.dataset;
    write(box, instead === undefined ? tidy(replaced(box.value, missing, "")) : renamed(box.value, missing, instead));
    setTimeout(() => document.getElementById(generate)?.click(), WRITTEN_MS);
  });

  function tidy(text) {
    return text.replace(/[ \t]{2,}/g, " ").replace(/\s+,/g, ",").replace(/,(\s*,)+/g, ",").replace(/^[\s,]+|[ \t]+$/g, "");
  }

  function has(text, word) {
    return text.toLowerCase().includes(word.toLowerCase());
  }

  // Words go to the end of the prompt, unless they are in it.
  function add(box, words) {
    const text = box.value.trimEnd();
    if (!has(text, words)) write(box, text ? `${text}${/[,>]$/.test(text) ? "" : ","} ${words}` : words);
  }

  function mount(element) {
    if (element.dataset.listening) return;
    element.dataset.listening = "yes";
    element.addEventListener("input", (event) => {
      const row = event.target.closest("[data-lora]");
      const box = row && promptOf(row);
      if (!box || event.target.type !== "range") return;
      event.stopPropagation();
      const weight = String(Number(event.target.value));
      row.querySelector("output").textContent = weight;
      write(box, replaced(box.value, row.dataset.lora, tagOf(row.dataset.lora, weight)));
    });
    element.addEventListener("click", (event) => {
      const row = event.target.closest("[data-lora]");
      const box = row && promptOf(row);
      if (!box) return;
      const word = event.target.closest("[data-word]");
      if (word) add(box, word.dataset.word);
      if (event.target.closest("[data-out]")) {
        write(box, tidy(replaced(box.value, row.dataset.lora, "")));
        row.remove();
      }
    });
  }

  function namesIn(text) {
    return [...new Set([...text.matchAll(TAG)].map((match) => nameOf(match[1])).filter(Boolean))].sort().join("\n");
  }

  // The server rebuilds the rows only when the prompt names other LoRAs.
  function typed(id, text) {
    const place = document.getElementById(id);
    if (!place) return;
    const shown = [...place.querySelectorAll("[data-lora]")].map((row) => row.dataset.lora).sort().join("\n");
    if (namesIn(String(text ?? "")) === shown) return;
    place.querySelector(".lora-rows-place")?.dispatchEvent(new CustomEvent("tags"));
  }

  for (const place of document.querySelectorAll(".lora-rows-place .lora-rows-place")) mount(place);
  return { mount, typed };
})();
