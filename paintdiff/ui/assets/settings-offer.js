// On a tab without a canvas: a picture that is dropped or pasted, or a text that is pasted into the prompt, is sent to
// the app, which answers with an offer to use the settings in it. (ui/settings_offer.py; `element` and `trigger` are
// those of the place for the offer.)
const studio = element.closest(".studio");
const OTHERS = ".paint-canvas, .pile";  // they take files themselves
const SETTINGS = /(^|\s)(Steps:\s*\d|Negative prompt:)|^\s*\{/;
const MOST_BYTES = 200_000;  // an event may have little more (server/page_events.py)
let brought = {};

const bring = (what) => {
  brought = what;
  trigger("upload", what);
};

async function send(file) {
  try {
    const answer = await fetch("uploads", { method: "POST", body: file });
    const { id, detail } = await answer.json();
    bring(answer.ok ? { picture: id } : { failed: String(detail) });
  } catch {
    bring({ failed: window.paintdiff.messages.NOT_SENT });
  }
}

const pictureIn = ({ files }) => [...files].find((file) => file.type.startsWith("image/"));

studio.addEventListener("dragover", (event) => {
  if (event.dataTransfer.types.includes("Files")) event.preventDefault();
});
studio.addEventListener("drop", (event) => {
  if (event.target.closest(OTHERS) || !event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  const file = pictureIn(event.dataTransfer);
  if (file) send(file);
  else bring({ failed: window.paintdiff.messages.NOT_A_PICTURE });
});
document.addEventListener("paste", (event) => {
  if (!element.isConnected || !studio.offsetParent) return;
  const text = event.clipboardData.getData("text/plain");
  const file = pictureIn(event.clipboardData);
  if (text) {
    if (!event.target.closest?.(".prompt") || !studio.contains(event.target) || !SETTINGS.test(text)) return;
    const fits = new Blob([text]).size <= MOST_BYTES;
    bring(fits ? { text } : { failed: window.paintdiff.messages.TEXT_TOO_LONG });
  } else if (file && !document.querySelector(".paint-canvas:hover") && !document.activeElement?.closest(OTHERS)) {
    event.preventDefault();
    send(file);
  }
});
element.addEventListener("click", (event) => {
  if (event.target.closest("[data-use]")) trigger("click", brought);
});
