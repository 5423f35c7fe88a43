// Moving and zooming the map: by dragging, wheel, pinch and buttons.

import { fitMap, fitReadable, formatTransform, listSidesBeyond, revealPoint, zoomAt } from "./viewport.js";

/** @import { MapSize, Point, Screen, Viewport } from "./viewport.js" */

// How many pixels a pointer may move in a click.
const CLICK_PIXELS = 4;
const ZOOM_PER_WHEEL_PIXEL = 0.0015;
// A pinch on a touchpad is a wheel event with ctrlKey.
const ZOOM_PER_PINCH_PIXEL = 0.01;

// On a screen that is narrower than this, the labels at the left of links need room beside the map.
const [NARROW, NARROW_MARGIN] = [720, 24];

/** @param {Element} element */
const topOf = (element) => element.getBoundingClientRect().top;

/** @param {Element} element */
const bottomOf = (element) => element.getBoundingClientRect().bottom;

export class View {
  /**
   * @param {SVGSVGElement} drawing
   * @param {SVGGElement} content What is moved and scaled.
   * @param {(scale: number) => void} handleScale Called in each frame in which the scale may have changed.
   */
  constructor(drawing, content, handleScale) {
    this.handleScale = handleScale;
    this.drawing = drawing;
    this.content = content;
    /** @type {Viewport} */
    this.viewport = { x: 0, y: 0, scale: 1 };
    /** @type {MapSize} */
    this.map = { width: 0, height: 0 };
    this.shape = "";
    this.showsAll = false;
    this.movedByUser = false;
    /** @type {Map<number, PointerEvent>} */
    this.pointers = new Map();
    this.draggedPixels = 0;
    /** @type {number | undefined} */
    this.frame = undefined;
    this.listenToPointers();
    drawing.addEventListener("wheel", (event) => this.handleWheel(event), { passive: false });
    // The size is remembered: to ask for it after elements were added would lay out all of them, more often than once.
    /** @type {Screen} */
    this.screen = { width: drawing.clientWidth, height: drawing.clientHeight };
    const observer = new ResizeObserver(() => this.handleResize());
    observer.observe(drawing);
    this.legend = drawing.ownerDocument.querySelector(".legend");
    if (this.legend) observer.observe(this.legend); // its names come later, and take room
  }

  listenToPointers() {
    this.drawing.addEventListener("pointerdown", (event) => {
      if (this.pointers.size === 0) this.draggedPixels = 0;
      this.pointers.set(event.pointerId, event);
    });
    this.drawing.addEventListener("pointermove", (event) => this.handlePointerMove(event));
    for (const end of /** @type {const} */ (["pointerup", "pointercancel", "pointerleave"])) {
      this.drawing.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    }
    this.drawing.addEventListener("click", (event) => this.suppressClickOfDrag(event), { capture: true });
  }

  handleResize() {
    const [width, height] = [this.drawing.clientWidth, this.drawing.clientHeight];
    const covered = this.legend?.clientHeight ? bottomOf(this.drawing) - topOf(this.legend) : 0;
    this.screen = { width, height, covered, margin: width < NARROW ? NARROW_MARGIN : 0 };
    this.fit();
  }

  /**
   * Set the size of the map. A map of another shape is fitted, unless the user has moved the map.
   * @param {MapSize} map
   * @param {string} shape Names the nodes and the direction.
   */
  resize(map, shape) {
    const changed = shape !== this.shape;
    this.map = map;
    this.shape = shape;
    if (changed) this.fit();
  }

  /** Fit the map, unless the user has moved it. */
  fit() {
    if (this.movedByUser) return;
    const fitted = this.showsAll ? fitMap(this.map, this.screen) : fitReadable(this.map, this.screen);
    if (fitted) this.show(fitted);
  }

  showAll() {
    this.showsAll = true;
    this.movedByUser = false;
    this.fit();
  }

  /**
   * @param {number} factor
   * @param {Point} [at] The point of the screen that stays where it is; the middle by default.
   */
  zoom(factor, at = { x: this.screen.width / 2, y: this.screen.height / 2 }) {
    this.moveTo(zoomAt(this.viewport, factor, at));
  }

  /**
   * Move a node into sight if it is outside.
   * @param {Point} node
   */
  reveal(node) {
    const revealed = revealPoint(this.viewport, node, this.screen);
    if (revealed) this.moveTo(revealed);
  }

  /** @param {Viewport} viewport */
  moveTo(viewport) {
    this.movedByUser = true;
    this.show(viewport);
  }

  /** @param {WheelEvent} event */
  handleWheel(event) {
    event.preventDefault();
    const speed = event.ctrlKey ? ZOOM_PER_PINCH_PIXEL : ZOOM_PER_WHEEL_PIXEL;
    this.zoom(Math.exp(-event.deltaY * speed), this.toScreen(event.clientX, event.clientY));
  }

  /** @param {PointerEvent} event */
  handlePointerMove(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const other = [...this.pointers.values()].find((each) => each.pointerId !== event.pointerId);
    if (other) this.pinch(before, event, other);
    else this.drag(event.clientX - before.clientX, event.clientY - before.clientY);
    this.pointers.set(event.pointerId, event);
  }

  /**
   * @param {number} byX
   * @param {number} byY
   */
  drag(byX, byY) {
    this.draggedPixels += Math.abs(byX) + Math.abs(byY);
    if (this.draggedPixels <= CLICK_PIXELS) return;
    const { x, y, scale } = this.viewport;
    this.moveTo({ x: x + byX, y: y + byY, scale });
  }

  /**
   * @param {PointerEvent} before
   * @param {PointerEvent} after
   * @param {PointerEvent} other The pointer that rests.
   */
  pinch(before, after, other) {
    this.draggedPixels = CLICK_PIXELS + 1;
    const middle = this.toScreen((after.clientX + other.clientX) / 2, (after.clientY + other.clientY) / 2);
    this.zoom(measureDistance(after, other) / measureDistance(before, other), middle);
  }

  /**
   * The end of a drag must not be a click on what happens to be there.
   * @param {MouseEvent} event
   */
  suppressClickOfDrag(event) {
    if (this.draggedPixels > CLICK_PIXELS) event.stopPropagation();
  }

  /**
   * @param {number} clientX
   * @param {number} clientY
   * @returns {Point} The point relative to the drawing.
   */
  toScreen(clientX, clientY) {
    const box = this.drawing.getBoundingClientRect();
    return { x: clientX - box.left, y: clientY - box.top };
  }

  /**
   * Show a part of the map, with the browser's next frame.
   * @param {Viewport} viewport
   */
  show(viewport) {
    this.viewport = viewport;
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.handleScale(this.viewport.scale);
      this.content.setAttribute("transform", formatTransform(this.viewport));
      const beyond = listSidesBeyond(this.map, this.screen, this.viewport).join(" ");
      this.drawing.parentElement?.setAttribute("data-beyond", beyond);
    });
  }
}

/**
 * @param {PointerEvent} one
 * @param {PointerEvent} other
 * @returns {number} Pixels, at least a fraction of one.
 */
function measureDistance(one, other) {
  return Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
}
