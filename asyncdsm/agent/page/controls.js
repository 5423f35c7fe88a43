// The buttons and keys of the page: pause, zoom, light and dark, skipping to the details, and shortcuts.

import { getElement, setAttribute, setText } from "./dom.js";

/** @import { LiveUpdates } from "./live.js" */
/** @import { View } from "./view.js" */

const THEME_KEY = "asyncdsm-theme";
const ZOOM_FACTOR = 1.3;

/** @param {LiveUpdates} live */
export function connectPauseButton(live) {
  const button = getElement("pause", HTMLButtonElement);
  button.addEventListener("click", () => {
    const pausing = live.running;
    setAttribute(button, "aria-pressed", String(pausing));
    setText(button, pausing ? "Resume" : "Pause");
    if (pausing) live.stop();
    else live.start();
  });
}

/** @param {View} view */
export function connectZoomButtons(view) {
  const actions = new Map([
    ["in", () => view.zoom(ZOOM_FACTOR)],
    ["out", () => view.zoom(1 / ZOOM_FACTOR)],
    ["fit", () => view.showAll()],
  ]);
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-zoom]"))) {
    button.addEventListener("click", () => actions.get(button.dataset.zoom ?? "")?.());
  }
}

/**
 * @param {HTMLInputElement} searchField The key "/" moves the focus there.
 * @param {() => void} clearSelection The key Escape calls it.
 */
export function connectShortcuts(searchField, clearSelection) {
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented) clearSelection();
    const isTyping = event.target instanceof Element && event.target.closest("input, select, textarea");
    if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    searchField.focus();
  });
}

/**
 * Let the first button of the page move the focus to the panel.
 * @param {HTMLElement} panel
 */
export function connectSkipButton(panel) {
  getElement("skip", HTMLButtonElement).addEventListener("click", () => panel.focus());
}

/** Let the user choose light or dark. Until then, the page looks as the system is set. */
export function connectThemeButton() {
  const { dataset } = document.documentElement;
  const stored = loadTheme();
  if (stored === "light" || stored === "dark") dataset.theme = stored;
  getElement("theme", HTMLButtonElement).addEventListener("click", () => {
    const current = dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    dataset.theme = current === "dark" ? "light" : "dark";
    storeTheme(dataset.theme);
  });
}

function loadTheme() {
  try {
    return localStorage.getItem(THEME_KEY);
  } catch {
    return null; // The browser is set to store nothing.
  }
}

/** @param {string} theme */
function storeTheme(theme) {
  try {
    localStorage.setItem(THEME_KEY, theme);
  } catch {
    // The browser is set to store nothing: the choice lasts until the page is closed.
  }
}
