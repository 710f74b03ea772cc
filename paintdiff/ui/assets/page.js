// What the page does by itself: it remembers, listens for keys, and asks for the status.
// Everything else is a Gradio event. User text is only ever set as textContent here.
"use strict";

window.paintdiff = (() => {
  const STATUS_MS = 1500;
  const KEY = {
    tab: "paintdiff.tab", painted: "paintdiff.painted", theme: "paintdiff.theme",
  };
  const MENUS = "details:is(.send, .thing-delete)[open]";
  const LABELS = {
    swap: "Swap width and height",
    dice: "Draw a new seed and keep it",
  };
  const keyOf = (tab, what) => `paintdiff.${tab}.${what}`;

  // Storage can be switched off in a browser; then nothing is remembered, and everything else works.
  function read(storage, key) {
    try { return window[storage].getItem(key); } catch { return null; }
  }
  function write(storage, key, text) {
    try { window[storage].setItem(key, text); } catch { /* see above */ }
  }
  function parsed(text) {
    try { return JSON.parse(text); } catch { return null; }
  }

  // Tabs get their content from the server when they are first opened (ui/common/lazy_page.py).

  const OPENING_MS = 30000;
  const opening = new Map(); // by tab: {promise, done}
  let tabs = [];
  let sentTo = "";

  function openFirst(names) {
    tabs = names;
    const last = read("sessionStorage", KEY.tab);
    const tab = names.includes(last) ? last : names[0];
    open(tab);
    return { __type__: "update", selected: tab };
  }

  // The Models tab writes into the one that was painted in last, so that one comes first.
  function open(tab) {
    let known = opening.get(tab);
    if (known) return known.promise;
    known = {};
    known.promise = new Promise((done) => { known.done = done; });
    opening.set(tab, known);
    document.getElementById(`${tab}-opening`)?.classList.remove("failed");
    const before = tab === "models" ? open(paintedIn() || tabs[0]) : Promise.resolve();
    before.then(() => there(`#${tab}-open`)).then((button) => button?.click());
    return known.promise;
  }

  // The element, or null if it doesn't come: Gradio puts hidden ones in place after the page has begun.
  async function there(selector, wanted = () => true) {
    const until = performance.now() + OPENING_MS;
    while (!document.querySelector(selector) && wanted() && performance.now() < until) {
      await new Promise((resume) => setTimeout(resume, 10));
    }
    return document.querySelector(selector);
  }

  // The server has answered. If all went well the elements of these selectors come.
  async function opened(tab, selectors) {
    // Gradio leaves out of the page what is in a tab that has never been shown.
    const isShown = () => document.getElementById(`${tab}-content`)?.parentElement.checkVisibility() ?? false;
    const found = await Promise.all(selectors.map((selector) => there(selector, isShown)));
    if (found.includes(null) && isShown()) return notOpened(tab);
    label(`#${tab}-content`);
    opening.get(tab).done();
    keepSoon(tab);
    if (document.body.dataset.ready) return;
    document.body.dataset.ready = "yes";
    const free = document.activeElement === document.body;
    if (free && window.matchMedia("(min-width: 861px)").matches) inSight(".prompt textarea")?.focus();
  }

  function notOpened(tab) {
    opening.delete(tab);
    document.getElementById(`${tab}-opening`)?.classList.add("failed");
  }

  function tabOpened(tab, paints) {
    const known = opening.has(tab);
    open(tab);
    if (!document.body.dataset.ready) return;
    if (known) document.getElementById(`${tab}-look`)?.click();
    write("sessionStorage", KEY.tab, tab);
    if (paints) write("sessionStorage", KEY.painted, tab);
  }

  // The tab that a picture has just been sent to.
  async function receiverOpened() {
    if (tabs.includes(sentTo)) await open(sentTo);
    return [];
  }

  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element && event.target.closest("[data-send], [data-open-tab]");
    if (!button) return;
    if (button.dataset.send) sentTo = button.dataset.send;
    else open(button.dataset.openTab);
  }, true);

  function label(place) {
    for (const [name, text] of Object.entries(LABELS)) {
      for (const button of document.querySelectorAll(`${place} .${name}`)) {
        button.setAttribute("aria-label", text);
        button.setAttribute("title", text);
      }
    }
  }

  // All of it belongs to this tab of the browser. Settings and filmstrips pass on to the next one too.

  function remembered(tab) {
    const own = parsed(read("sessionStorage", keyOf(tab, "settings")));
    return JSON.stringify({
      settings: own ?? parsed(read("localStorage", keyOf(tab, "settings"))),
      film: parsed(read("sessionStorage", keyOf(tab, "film")) ?? read("localStorage", keyOf(tab, "film"))),
      job: read("sessionStorage", keyOf(tab, "job")),
      model: read("sessionStorage", keyOf(tab, "model")),
      fresh: own === null,
    });
  }

  // The one of several tabs' elements that can be seen.
  function inSight(selector) {
    return [...document.querySelectorAll(`#tabs ${selector}`)].find((element) => element.checkVisibility());
  }

  // The tab that was painted in last; "" stands for the first one.
  function paintedIn() {
    return read("sessionStorage", KEY.painted) ?? "";
  }

  // A model that was chosen for all tabs waits for those that aren't opened yet.
  function modelChosen(name) {
    for (const tab of tabs) if (!opening.has(tab)) write("sessionStorage", keyOf(tab, "model"), name);
  }

  const keeping = {};
  const kept = {}; // by tab: the settings' values as they were last time
  const suspects = {}; // by tab: the errors that were there before something changed

  function keepSoon(tab) {
    suspects[tab] ??= window.paintdiff.notes?.errors();
    clearTimeout(keeping[tab]);
    keeping[tab] = setTimeout(() => document.querySelector(`#${tab}-content .keep`)?.click(), 20);
  }

  // `ids` are those of the settings' elements.
  function keepSettings(tab, names, ids, values) {
    const before = kept[tab] ?? values;
    kept[tab] = values;
    const changed = ids.filter((_, index) => JSON.stringify(before[index]) !== JSON.stringify(values[index]));
    window.paintdiff.notes?.settle(suspects[tab] ?? new Set(), changed);
    delete suspects[tab];
    const settings = JSON.stringify(Object.fromEntries(names.map((name, index) => [name, values[index]])));
    for (const storage of ["sessionStorage", "localStorage"]) write(storage, keyOf(tab, "settings"), settings);
    write("sessionStorage", keyOf(tab, "model"), "");
    window.paintdiff.promptCheck?.refresh(tab);
  }

  // All jobs that a tab knew of are done. Nothing changes if another one has been queued meanwhile.
  function idle(isAll, verb) {
    const update = { __type__: "update" };
    if (!isAll) return [update, update, update];
    return [{ ...update, active: false }, { ...update, value: verb }, { ...update, interactive: false }];
  }

  function keepJob(tab, id) {
    write("sessionStorage", keyOf(tab, "job"), id ?? "");
    askStatus();
  }

  function keepFilm(tab, ids) {
    const key = keyOf(tab, "film");
    write("sessionStorage", key, ids || "[]");
    const others = parsed(read("localStorage", key)) ?? [];
    const all = [...new Set([...(parsed(ids) ?? []), ...others])].slice(0, 24);
    write("localStorage", key, JSON.stringify(all));
    askStatus();
  }

  // The map shown there says what it was made of: the canvas's version, the preprocessor and how the picture is fitted.
  // Compared, not counted: news of a change from before may come when the map is already there.
  function checkMap(id, canvas, ...chosen) {
    const map = document.querySelector(`#${id} .map`);
    if (!map) return; // perhaps no canvas either, yet
    const now = [window.paintdiff.canvas.version(canvas), ...chosen].join(" ");
    map.classList.toggle("outdated", map.dataset.madeOf !== now);
  }

  // Keys

  // An open list of choices that scrolls would take the focus, and with it vanish. Gradio's script would open the list
  // again after it has lost the focus.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Tab") return;
    if (event.target instanceof Element && event.target.matches("[role=combobox]")) event.stopPropagation();
    for (const option of document.querySelectorAll("[role=option]")) {
      for (let box = option.parentElement; box && box !== document.body; box = box.parentElement) {
        if (box.scrollHeight > box.clientHeight) { box.tabIndex = -1; break; }
      }
    }
  }, true);

  // Gradio's script opens a list of choices when its box gets the focus: not by a click if Escape has just closed it.
  document.addEventListener("pointerdown", ({ target }) => {
    const isClosed = target instanceof HTMLElement && target.matches("[role=combobox][aria-expanded=false]");
    if (isClosed && document.activeElement === target) target.blur();
  }, true);

  // Arrow keys walk through tabs and radio buttons. Gradio gives each radio button a name of its own, so the browser
  // takes none of them for a group.
  const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (!(target instanceof HTMLElement) || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const isTab = target.matches("[role=tab]");
    const group = isTab ? target.closest("[role=tablist]") : target.matches("[type=radio]") && target.closest("fieldset");
    if (!group || !(key in STEPS || (isTab && (key === "Home" || key === "End")))) return;
    const all = [...group.querySelectorAll(isTab ? "[role=tab]" : "[type=radio]")].filter((each) => !each.disabled);
    const here = all.indexOf(target);
    const next = key === "Home" ? all[0] : key === "End" ? all.at(-1) : all.at((here + STEPS[key]) % all.length);
    event.preventDefault();
    next.focus();
    next.click();
  }, true);
  document.addEventListener("focusin", (event) => rove(event.target));

  // Only the chosen one of a group is reached by Tab.
  function rove(target) {
    if (!(target instanceof HTMLElement)) return;
    const group = target.closest("[role=tablist]") ?? (target.matches("[type=radio]") ? target.closest("fieldset") : null);
    for (const each of group?.querySelectorAll("[role=tab], [type=radio]") ?? []) each.tabIndex = each === target ? 0 : -1;
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      event.stopPropagation();
      if (!event.repeat && !document.querySelector("dialog[open]")) press(".generate");
    } else if (event.key === "Escape" && event.isTrusted && !event.isComposing && !choosing() && !closeMenus(null)
      && !document.querySelector("dialog[open]")) {
      press(".cancel");
    }
  }, true);

  // On a phone the picture is below what was just clicked.
  const RESULT_MS = 600;
  const MENU_MARGIN_PX = 8;
  document.addEventListener("click", (event) => {
    const phone = window.matchMedia("(max-width: 860px)").matches;
    if (!phone || !(event.target instanceof Element) || !event.target.closest(".generate, .chip")) return;
    setTimeout(() => {
      if (!inSight(".note.error")) inSight(".stage-place")?.scrollIntoView({ behavior: "smooth", block: "nearest" });
    }, RESULT_MS);
  });

  // A double click is one click: while a canvas sends its pixels Gradio would count both.
  document.addEventListener("click", (event) => {
    if (event.detail > 1 && event.target instanceof Element && event.target.closest(".generate")) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  }, true);

  document.addEventListener("click", (event) => {
    const title = event.target instanceof Element && event.target.closest(".drawer-title");
    if (title) title.setAttribute("aria-expanded", String(title.getAttribute("aria-expanded") === "false"));
  });

  // A menu closes when something else is clicked, or when one of its entries has been.
  document.addEventListener("click", (event) => {
    const kept = event.target instanceof Element && !event.target.closest("[data-send]")
      ? event.target.closest("details") : null;
    closeMenus(kept);
  });

  // A menu opens upwards, unless it would be cut off there; and it stays within the window.
  document.addEventListener("toggle", ({ target: menu }) => {
    if (!(menu instanceof Element) || !menu.matches("details.send") || !menu.open) return;
    const list = menu.querySelector(".send-menu");
    menu.classList.remove("downward");
    list.style.translate = "";
    const { top, left, right } = list.getBoundingClientRect();
    const place = menu.closest("dialog, .stage-place").getBoundingClientRect().top;
    const pinned = window.matchMedia("(max-width: 860px)").matches && !menu.closest("dialog")
      ? inSight(".run-group")?.getBoundingClientRect().bottom ?? 0 : 0;
    menu.classList.toggle("downward", top < Math.max(place, pinned, 0));
    const beyond = right - (document.documentElement.clientWidth - MENU_MARGIN_PX);
    if (beyond > 0) list.style.translate = `${Math.max(-beyond, MENU_MARGIN_PX - left)}px`;
  }, true);

  function closeMenus(kept) {
    const open = [...document.querySelectorAll(MENUS)].filter((menu) => menu !== kept);
    for (const menu of open) {
      if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
      menu.open = false;
    }
    return open.length > 0;
  }

  // Escape first closes an open list of choices.
  function choosing() {
    return document.activeElement?.getAttribute("aria-expanded") === "true";
  }

  function press(selector) {
    const button = inSight(selector);
    if (button && !button.disabled) button.click();
  }

  // Light and dark: the system decides until the switch is used.

  const systemDark = window.matchMedia("(prefers-color-scheme: dark)");
  function wantsDark() {
    const chosen = read("localStorage", KEY.theme);
    return chosen ? chosen === "dark" : systemDark.matches;
  }
  function applyTheme() {
    if (!document.body) return;
    const dark = wantsDark();
    if (document.body.classList.contains("dark") !== dark) document.body.classList.toggle("dark", dark);
    document.documentElement.style.colorScheme = dark ? "dark" : "light";
  }
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || !event.target.closest("#theme-switch")) return;
    const next = wantsDark() ? "light" : "dark";
    write("localStorage", KEY.theme, next === (systemDark.matches ? "dark" : "light") ? "" : next);
    applyTheme();
  });
  systemDark.addEventListener("change", applyTheme);
  function watchTheme() {
    applyTheme();
    new MutationObserver(applyTheme).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  }

  // A picture that the app has forgotten leaves the filmstrip quietly.
  document.addEventListener("error", (event) => {
    if (event.target instanceof HTMLImageElement) event.target.closest(".strip li")?.remove();
  }, true);

  // Status

  // As paintdiff/byte_sizes.py has it.
  const BYTE_UNITS = [[2 ** 30, "GiB", 1], [2 ** 20, "MiB", 0], [2 ** 10, "KiB", 0]];
  function byteSize(bytes) {
    const [unit, name, digits] = BYTE_UNITS.find(([size]) => bytes >= size) ?? BYTE_UNITS.at(-1);
    const amount = (bytes / unit).toFixed(digits);
    return `${bytes > 0 && amount === "0" ? 1 : amount} ${name}`;
  }

  function words(status) {
    const state = { loading: "loading…", failed: "failed to load", ready: "", none: "" }[status.model_state] ?? "";
    const total = status.memory_total_bytes > 0 ? ` of ${byteSize(status.memory_total_bytes)}` : "";
    const waiting = status.queue_length > 0 ? `${status.queue_length} waiting` : "";
    return {
      model: [status.model_title || "not loaded yet", state].filter(Boolean).join(", "),
      device: status.device,
      memory: `${byteSize(status.memory_used_bytes)}${total}`,
      queue: [status.running ? "busy" : waiting ? "" : "idle", waiting].filter(Boolean).join(", "),
      speed: status.steps_per_second > 0 ? `${status.steps_per_second.toFixed(1)} steps/s` : "–",
    };
  }

  // Pictures that couldn't be saved: why, and a button that tries again.
  function showWaiting(waiting) {
    const place = document.querySelector(".unsaved");
    if (!place) return;
    const text = waiting ? window.paintdiff.messages.notSaved(waiting) : "";
    const words = place.querySelector("span");
    if (words.textContent !== text) words.textContent = text;
    place.hidden = !text;
  }

  async function saveAgain(button) {
    button.disabled = true;
    try {
      const options = { method: "POST", body: "{}", headers: { "Content-Type": "application/json" } };
      const answer = await fetch("unsaved", options);
      if (answer.ok) showWaiting((await answer.json()).waiting);
      else await askStatus();
    } catch {
      show({}, window.paintdiff.messages.NOT_RESPONDING);
    } finally {
      button.disabled = false;
    }
  }
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element && event.target.closest(".unsaved button");
    if (button) saveAgain(button);
  });

  function show(said, connection) {
    for (const [name, text] of Object.entries(said)) {
      const cell = document.querySelector(`.status [data-cell="${name}"] dd`);
      if (cell && cell.textContent !== text) cell.textContent = text;
    }
    const line = document.querySelector(".status .connection");
    if (line && line.textContent !== connection) line.textContent = connection;
  }

  // A link to sign out, for whoever signed in.
  function showSignOut(name) {
    const link = document.getElementById("sign-out");
    if (!link) return;
    link.hidden = !name;
    link.title = name ? window.paintdiff.messages.signedInAs(name) : "";
  }

  let asking = false;
  async function askStatus() {
    if (asking || document.visibilityState !== "visible") return;
    asking = true;
    try {
      const answer = await fetch("status", { cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (answer.status === 401) return show({}, window.paintdiff.messages.SIGNED_OUT);
      if (!answer.ok) throw new Error(String(answer.status));
      const status = await answer.json();
      show(words(status), "");
      showWaiting(status.waiting);
      showSignOut(status.signed_in);
    } catch {
      show({}, window.paintdiff.messages.NOT_RESPONDING);
    } finally {
      asking = false;
    }
  }
  setInterval(askStatus, STATUS_MS);
  document.addEventListener("visibilitychange", askStatus);

  // Gradio puts this script in place when the page has long been parsed.
  function begin() {
    watchTheme();
    askStatus();
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();

  return {
    openFirst, opened, notOpened, tabOpened, receiverOpened, modelChosen, remembered, paintedIn, keepSoon, keepSettings,
    keepJob, keepFilm, checkMap, idle, byteSize,
  };
})();
