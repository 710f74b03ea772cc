// Sentences that the page's scripts say themselves. (Those of Python stand in the messages.py of each room.)
"use strict";

window.paintdiff ??= {};
window.paintdiff.messages = {
  // The app.
  NOT_RESPONDING: "The app isn’t responding. Is it still running?",
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
  moreMistakes: (count) => (count === 1 ? "And 1 more mistake." : `And ${count} more mistakes.`),

  // Pictures in the list, and in the gallery.
  countPictures: (count) => (count === 1 ? "1 picture" : `${count.toLocaleString("en")} pictures`),
  movedToBin: (count) => `Moved ${window.paintdiff.messages.countPictures(count)} to the bin.`,
  restored: (count) => `Restored ${window.paintdiff.messages.countPictures(count)}.`,
  erased: (count) => `Erased ${window.paintdiff.messages.countPictures(count)} for good.`,

  // The canvas.
  sizesDiffer: (mask, picture) => `The mask is ${mask}, but the picture is ${picture}. They must have the same size.`,
  notRemembered: (reason) => `This drawing won’t survive a reload: ${reason}`,
};
