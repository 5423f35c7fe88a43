// The keyboard on the map: one element is the tab stop, and the arrow keys move on from it.

import { setAttribute } from "./dom.js";
import { findStep, readStep, sortNodes } from "./roving.js";

/** @import { MapModel } from "./map_model.js" */

export class GraphKeys {
  /**
   * @param {SVGSVGElement} drawing
   * @param {(id: string) => SVGElement | undefined} findElement
   * @param {(id: string) => void} reveal Move what has got the focus into sight.
   */
  constructor(drawing, findElement, reveal) {
    this.findElement = findElement;
    this.reveal = reveal;
    /** @type {MapModel | null} */
    this.map = null;
    this.current = "";
    this.before = "";
    drawing.addEventListener("keydown", (event) => this.handleKey(event));
    // Chromium makes a drawing that listens to the focus a tab stop of its own.
    drawing.parentElement?.addEventListener("focusin", (event) => this.handleFocus(event));
  }

  /** @param {MapModel} map */
  useMap(map) {
    this.map = map;
    if (!this.findElement(this.current)) this.current = sortNodes(map)[0]?.id ?? "";
    this.markCurrent(true);
  }

  /**
   * Make an element the tab stop, and give it the focus.
   * @param {string} id
   */
  focus(id) {
    this.findElement(id)?.focus({ preventScroll: true });
  }

  /** @param {KeyboardEvent} event */
  handleKey(event) {
    if (!this.map || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const step = readStep(event.key, this.map.flow);
    if (!step) return;
    event.preventDefault();
    const next = findStep(this.current, step, this.map, this.before);
    if (!next) return;
    this.focus(next);
    this.reveal(next);
  }

  /** @param {FocusEvent} event */
  handleFocus(event) {
    const id = event.target instanceof SVGElement ? event.target.dataset.id : undefined;
    if (!id || id === this.current) return;
    this.markCurrent(false);
    // From one link to the next one of the same node, that node stays what one came from.
    if (this.map?.nodes.has(this.current)) this.before = this.current;
    this.current = id;
    this.markCurrent(true);
  }

  /** @param {boolean} isStop */
  markCurrent(isStop) {
    const element = this.findElement(this.current);
    if (element) setAttribute(element, "tabindex", isStop ? 0 : -1);
  }
}
