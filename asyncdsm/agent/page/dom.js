// Building blocks of the page. Text is never parsed as HTML, so that no name from outside can become code.

const SVG = "http://www.w3.org/2000/svg";

/**
 * @typedef {string | number | boolean | null | undefined} AttributeValue
 * @typedef {Record<string, AttributeValue | ((event: any) => void)>} Attributes
 * Attributes of an element; a function listens to the event of that name.
 * @typedef {Node | string | boolean | null | undefined | readonly Child[]} Child
 * Content of an element; what is not a node or a string is left out.
 */

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Attributes} [attributes]
 * @param {...Child} children
 */
export function createHtml(name, attributes = {}, ...children) {
  return fillElement(document.createElement(name), attributes, children);
}

/**
 * @template {keyof SVGElementTagNameMap} Name
 * @param {Name} name
 * @param {Attributes} [attributes]
 * @param {...Child} children
 */
export function createSvg(name, attributes = {}, ...children) {
  return fillElement(document.createElementNS(SVG, name), attributes, children);
}

/**
 * @template {Element} Created
 * @param {Created} element
 * @param {Attributes} attributes
 * @param {readonly Child[]} children
 */
function fillElement(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else setAttribute(element, name, value);
  }
  element.append(...flattenChildren(children));
  return element;
}

/**
 * @param {readonly Child[]} children
 * @returns {(Node | string)[]}
 */
function flattenChildren(children) {
  const flat = /** @type {unknown[]} */ (children).flat(Number.POSITIVE_INFINITY);
  return flat.filter((child) => typeof child === "string" || child instanceof Node);
}

/**
 * Find an element of the page by its id.
 * @template {Element} Found
 * @param {string} id
 * @param {new () => Found} type
 */
export function getElement(id, type) {
  const element = /** @type {Element | null} */ (document.getElementById(id));
  if (!(element instanceof type)) throw new Error(`The page must have a ${type.name} with the id ${id}.`);
  return element;
}

/**
 * Set or remove an attribute. An attribute that has the value already is not touched, because the map updates a
 * thousand links every second.
 * @param {Element} element
 * @param {string} name
 * @param {AttributeValue} value Null, undefined and false remove the attribute; true sets it to the empty string.
 */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else {
    const text = value === true ? "" : String(value);
    if (text !== element.getAttribute(name)) element.setAttribute(name, text);
  }
}

/**
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Replace the content of an element. If an element with a `data-key` has the focus, the new element with the same key
 * gets it.
 * @param {HTMLElement} container
 * @param {...Child} children
 */
export function replaceContent(container, ...children) {
  const focused = document.activeElement;
  const key = focused instanceof HTMLElement && container.contains(focused) ? focused.dataset.key : undefined;
  container.replaceChildren(...flattenChildren(children));
  if (key !== undefined) findKeyed(container, key)?.focus({ preventScroll: true });
}

/**
 * Find the element with a `data-key` in a container.
 * @param {HTMLElement} container
 * @param {string} key
 */
export function findKeyed(container, key) {
  const keyed = /** @type {NodeListOf<HTMLElement>} */ (container.querySelectorAll("[data-key]"));
  return [...keyed].find((found) => found.dataset.key === key);
}

/**
 * @param {string} title
 * @param {...Child} children
 */
export function createSection(title, ...children) {
  return createHtml("section", {}, createHtml("h3", {}, title), ...children);
}

/** @param {...[name: string, value: string]} pairs */
export function createFigures(...pairs) {
  const items = pairs.map(([name, value]) =>
    createHtml("div", {}, createHtml("dt", {}, name), createHtml("dd", {}, value)),
  );
  return createHtml("dl", { class: "figures" }, items);
}

/** @param {...Child} children */
export function createHint(...children) {
  return createHtml("p", { class: "muted" }, ...children);
}

/** @param {string} text */
export function createWarning(text) {
  return createHtml("p", { class: "warning" }, createHtml("span", { "aria-hidden": "true" }, "⚠"), ` ${text}`);
}

/**
 * Create a bar whose length shows a share. The length is an SVG attribute, because the page's security policy allows
 * no style attributes.
 * @param {number} share From 0 to 1.
 */
export function createBar(share) {
  const width = `${(100 * Math.min(1, share)).toFixed(1)}%`;
  return createSvg(
    "svg",
    { class: "bar", "aria-hidden": "true" },
    createSvg("rect", { width, height: "100%", rx: 1.5 }),
  );
}
