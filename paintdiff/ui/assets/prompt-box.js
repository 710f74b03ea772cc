// The boxes for prompts: finding them, and writing into them so that the browser can undo it.
"use strict";

window.paintdiff.promptBox = (() => {
  let writing = false;
  const BOXES = "#tabs .prompt textarea, #tabs [id$=negative-prompt] textarea";

  // Null for anything else.
  function of(target) {
    return target instanceof HTMLTextAreaElement && target.matches(BOXES) ? target : null;
  }

  function inTab(tab) {
    return [...document.querySelectorAll(BOXES)].filter((box) => tabOf(box) === tab);
  }

  function tabOf(box) {
    return box.closest(".tab-content")?.id.replace(/-content$/, "") ?? "";
  }

  function isNegative(box) {
    return box.closest("[id$=negative-prompt]") !== null;
  }

  // Replaces a part of the text as if it were typed: Ctrl+Z brings it back, and Gradio takes notice.
  function replace(box, start, end, text) {
    box.focus();
    box.setSelectionRange(start, end);
    if (start === end && !text) return;
    writing = true;
    const isDone = text ? document.execCommand("insertText", false, text) : document.execCommand("delete");
    if (!isDone) {
      box.setRangeText(text, start, end, "end");
      box.dispatchEvent(new Event("input", { bubbles: true }));
    }
    writing = false;
  }

  return { of, inTab, tabOf, isNegative, replace, isWriting: () => writing };
})();
