// Ctrl+Up and Ctrl+Down change the weight of the selection, or of what is at the caret, as in the A1111 web UI.
"use strict";

window.paintdiff.promptWeights = (() => {
  const STEP = 0.1;
  const LORA_STEP = 0.05;
  const MOST = 10;
  const DELIMITERS = /[\s.,/!?%^*;:{}=`~()<>[\]|\\]/;
  const TAG = /<(?:lora|lyco):(?:\\.|[^\\:<>])+((?::[^<>:]*)*)>/gi;
  const WEIGHT = /:\s*([-+]?(?:\d+\.?\d*|\.\d+))\s*$/;

  function rounded(value) {
    return Math.max(-MOST, Math.min(MOST, Math.round(value * 100) / 100));
  }

  // The innermost brackets around a part of the text: the places of both.
  function around(text, start, end) {
    const open = [];
    for (let at = 0; at < text.length; at += 1) {
      if (text[at] === "\\") at += 1;
      else if (text[at] === "(") open.push(at);
      else if (text[at] === ")" && open.length > 0) {
        const from = open.pop();
        if (at >= end && from < start) return [from, at];
      }
    }
    return null;
  }

  function tagAt(text, start, end) {
    return [...text.matchAll(TAG)].find((match) => match.index <= start && end <= match.index + match[0].length);
  }

  function wordAt(text, at) {
    let [start, end] = [at, at];
    while (start > 0 && !DELIMITERS.test(text[start - 1])) start -= 1;
    while (end < text.length && !DELIMITERS.test(text[end])) end += 1;
    return [start, end];
  }

  // What takes the place of which part of the text, and what is selected then. Null if there is nothing to weigh.
  function change(text, start, end, up) {
    const tag = tagAt(text, start, end);
    if (tag) return changeTag(tag, up ? LORA_STEP : -LORA_STEP);
    const step = up ? STEP : -STEP;
    while (start < end && /\s/.test(text[start])) start += 1;
    while (end > start && /\s/.test(text[end - 1])) end -= 1;
    const isBracketed = text[start] === "(" && text[start - 1] !== "\\" && text[end - 1] === ")";
    const [from, to] = isBracketed && end > start ? [start + 1, end - 1] : [start, end];
    const block = around(text, from, to);
    const inside = block && text.slice(block[0] + 1, block[1]);
    const given = block && WEIGHT.exec(inside);
    const words = block && (given ? inside.slice(0, given.index) : inside);
    // Of a part of what is in the brackets only that part is weighed.
    const isWhole = block && (start === end || (from <= block[0] + 1 && to >= block[0] + 1 + words.length));
    if (isWhole) {
      const weight = rounded((given ? Number(given[1]) : 1.1) + step);
      const written = weight === 1 ? words : `(${words}:${weight})`;
      const first = block[0] + (weight === 1 ? 0 : 1);
      return { start: block[0], end: block[1] + 1, text: written, selected: [first, first + words.length] };
    }
    if (start === end) [start, end] = wordAt(text, start);
    if (start === end) return null;
    const weighed = `(${text.slice(start, end)}:${rounded(1 + step)})`;
    return { start, end, text: weighed, selected: [start + 1, end + 1] };
  }

  function changeTag(tag, step) {
    const head = tag[0].slice(0, tag[0].length - tag[1].length - 1);
    const weights = tag[1] || ":1";
    const changed = weights.replace(/([:=]\s*)([-+]?(?:\d+\.?\d*|\.\d+))/g, (_, before, number) => (
      `${before}${rounded(Number(number) + step)}`
    ));
    const text = `${head}${changed}>`;
    return { start: tag.index, end: tag.index + tag[0].length, text, selected: [tag.index + text.length, tag.index + text.length] };
  }

  document.addEventListener("keydown", (event) => {
    const box = window.paintdiff.promptBox.of(event.target);
    const isArrow = event.key === "ArrowUp" || event.key === "ArrowDown";
    if (!box || !isArrow || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    event.stopPropagation();
    const changed = change(box.value, box.selectionStart, box.selectionEnd, event.key === "ArrowUp");
    if (!changed) return;
    window.paintdiff.promptBox.replace(box, changed.start, changed.end, changed.text);
    box.setSelectionRange(...changed.selected);
  }, true);

  return { change };
})();
