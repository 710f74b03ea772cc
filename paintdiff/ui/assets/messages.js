// Sentences that the page's scripts say themselves. (Those of Python stand in the messages.py of each room.)
"use strict";

window.paintdiff ??= {};
window.paintdiff.messages = {
  // The app.
  NOT_RESPONDING: "The app isn’t responding. Is it still running?",
  SIGNED_OUT: "You are signed out. Reload the page to sign in.",
  signedInAs: (name) => `Signed in as ${name}`,
  NOT_SENT: "Can’t send the picture. Is the app still running?",
  DRAWING_NOT_SENT: "Can’t send the drawing: the app isn’t responding.",
  DRAWING_REFUSED: "The app refused the drawing.",
  APP_RESTARTED: "This picture is no longer available: the app was restarted.",
  somethingWrong: (reason) => `Something went wrong: ${reason}`,

  // Files.
  CANNOT_OPEN: "Can’t open this. Use PNG, JPEG or WebP.",
  CANNOT_OPEN_MASK: "Can’t open this as a mask. Use PNG, JPEG or WebP.",
  NOT_A_PICTURE: "This isn’t a picture. Use PNG, JPEG or WebP.",
  TEXT_TOO_LONG: "This text is too long to contain settings. Drop the picture itself.",
  FOLDER: "The folder",
  FOLDER_WITHOUT_PICTURE: "It contains no picture.",
  FOLDER_UNREADABLE: "It can’t be read.",
  fileTooLarge: (size, most) => `The file is ${size}; at most ${most} can be sent. Save it smaller.`,
  filesTooLarge: (most) => `All files together may be at most ${most}. Upscale these first, then add the others.`,
  tooManyPictures: (most) => `At most ${most} can be upscaled at once. Upscale these first, then add the others.`,
  tooManyPixels: (count, most, painted) =>
    `The picture has ${count} million pixels; at most ${most} million can be ${painted ? "painted on" : "opened"}.`,

  // Prompts.
  OPEN_MODELS: "Open the Models tab",
  SUGGESTIONS: "Suggestions",
  EARLIER_PROMPTS: "Earlier prompts",
  SEARCH_PROMPTS: "Search your earlier prompts",
  FAVOURITES_ONLY: "Favourites only",
  MORE_PROMPTS: "Older prompts",
  CLOSE: "Close",
  NO_PROMPTS_YET: "Prompts that you paint are listed here.",
  NO_PROMPTS_FOUND: "No earlier prompt matches.",
  PROMPTS_NOT_READ: "Can’t read the earlier prompts. Try again in a moment.",
  FAVOURITE_NOT_KEPT: "Can’t keep this favourite. Try again in a moment.",
  favourite: (prompt) => `Favourite: ${prompt}`,
  avoiding: (negative) => `without ${negative}`,
  tokens: (count, room, chunks) => (
    `${count} of ${room} tokens${chunks > 1 ? ` in ${chunks} chunks` : ""}`
  ),
  promptTooLong: (count, most) => (
    `The prompt has ${count.toLocaleString("en")} characters. At most ${most.toLocaleString("en")} can be painted.`
  ),
  tagProblems: (count, first) => (count === 1 ? first : `${first} And ${count - 1} more in the lists of tags.`),
  moreMistakes: (count) => (count === 1 ? "And 1 more mistake." : `And ${count} more mistakes.`),

  // Pictures in the list, and in the gallery.
  countPictures: (count) => (count === 1 ? "1 picture" : `${count.toLocaleString("en")} pictures`),
  movedToBin: (count) => `Moved ${window.paintdiff.messages.countPictures(count)} to the bin.`,
  restored: (count) => `Restored ${window.paintdiff.messages.countPictures(count)}.`,
  erased: (count) => `Erased ${window.paintdiff.messages.countPictures(count)} for good.`,
  UNDO: "Undo",
  CLOSE: "Close",
  OPEN: "Open",
  THE_PICTURE: "The picture",
  PROMPT: "Prompt",
  NEGATIVE_PROMPT: "Negative prompt",
  describePicture: ({ prompt, feedback, favourite }) => [
    prompt || "Without a prompt", { 1: "liked", "-1": "disliked" }[feedback] ?? "", favourite ? "favourite" : "",
  ].filter(Boolean).join(", "),
  selected: (count) => `${count.toLocaleString("en")} selected`,
  selectedOf: (count, total) =>
    `Selected the first ${count.toLocaleString("en")} of ${total.toLocaleString("en")}: no more can be selected at once.`,
  removeTag: (tag) => `Remove the tag ${tag}`,
  openPicture: (number) => `Open picture ${number}`,
  zipping: (count, size, missing) => [
    `Downloading ${window.paintdiff.messages.countPictures(count)}, ${size}.`,
    missing ? `The files of ${missing} more are missing.` : "",
  ].join(" ").trim(),
  SETTINGS_UNKNOWN: "Settings",

  // The gallery's bin.
  afterDays: (days) => (days === 1 ? "After 1 day" : `After ${days} days`),
  binEmptiedAfter: (days) => `Deleted pictures are erased after ${days === 1 ? "one day" : `${days} days`}, with their files.`,
  BIN_KEPT: "Deleted pictures stay in the bin until you empty it.",

  // Lineage and variations.
  ORIGINAL: "Original",
  AND_MORE: "and more",
  thisPicture: (relation) => (relation ? `${relation}: this picture` : "This picture"),
  SEED_UNKNOWN: "The seed of this picture isn’t known, so only the picture itself can be varied.",
  VARIES_ORIGINAL: "This picture is a variation of its seed. Nearby seeds start from that seed’s own picture.",

  // Pictures that couldn’t be saved.
  notSaved: ({ unsaved, unrecorded, reason }) => [
    unsaved ? `${window.paintdiff.messages.countPictures(unsaved)} couldn’t be saved yet.` : "",
    unrecorded ? `${window.paintdiff.messages.countPictures(unrecorded)} couldn’t be added to the gallery yet.` : "",
    reason,
  ].filter(Boolean).join(" "),

  // Replays.
  REPLAY: "How it was painted",
  PLAY: "Play",
  PAUSE: "Pause",
  STEP: "Step",
  FORMAT: "Format",
  STARTING: "Starting…",
  IDENTICAL: "identical", // as in paintdiff/replay/messages.py
  CONTINUE_FROM_HERE: "Continue from this step",
  CONTINUE: "Paint the rest",
  CONTINUE_FIELDS: ["Prompt (empty: as before)", "Negative prompt", "Guidance", "Seed of the noise that is added"],
  NOTHING_TO_CONTINUE_WITH: "Change something first: a prompt, the guidance or the seed.",
  DOWNLOAD_ANIMATION: "Download animation",
  REPLAY_REFUSED: "The app refused this. Check the values.",
  stepOf: (step, total) => `Step ${step} of ${total}`,

  // The canvas.
  sizesDiffer: (mask, picture) => `The mask is ${mask}, but the picture is ${picture}. They must have the same size.`,
  notRemembered: (reason) => `This drawing won’t survive a reload: ${reason}`,
};
