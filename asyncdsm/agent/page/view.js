// Which part of the drawing is seen, and how large: fitted, moved by dragging, zoomed by wheel, pinch and buttons.

const LARGEST = 2.5;
const SMALLEST = 0.04;
const FIT_AT_MOST = 1.15;
const FAR = 0.3; // below, nobody reads a name
const READABLE = 0.55; // a map that has no room at this scale is shown from its beginning on
const LEGEND = 44; // pixels at the bottom that are left to it
const A_CLICK = 4; // pixels that a pointer may move and still click

export class View {
  constructor(drawing, content) {
    this.drawing = drawing;
    this.content = content;
    this.pointers = new Map();
    this.moved = false;
    this.dragged = 0;
    this.shape = "";
    this.whole = false; // somebody asked for the whole map
    drawing.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    drawing.addEventListener("pointerdown", (event) => {
      if (this.pointers.size === 0) this.dragged = 0;
      this.pointers.set(event.pointerId, event);
    });
    drawing.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel", "pointerleave"]) {
      drawing.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    }
    // The end of a drag is not a click on what happens to be there.
    drawing.addEventListener("click", (event) => this.dragged > A_CLICK && event.stopPropagation(), { capture: true });
    new ResizeObserver(() => this.moved || (this.whole ? this.fit() : this.begin())).observe(drawing);
  }

  // Fits what has another shape than before, unless somebody has chosen what to look at.
  resize(width, height, shape) {
    const changed = shape !== this.shape;
    [this.width, this.height, this.shape] = [width, height, shape];
    if (changed && !this.moved) this.whole ? this.fit() : this.begin();
  }

  // Fits the whole map, if its names can be read then; else its beginning. The rest is a drag, or a fit, away.
  begin() {
    this.fit();
    if (!(this.scale < READABLE)) return;
    this.scale = READABLE;
    this.x = Math.max(0, (this.drawing.clientWidth - this.width * READABLE) / 2);
    this.y = Math.max(0, (this.drawing.clientHeight - LEGEND - this.height * READABLE) / 2);
  }

  showAll() {
    this.whole = true;
    this.fit();
  }

  fit() {
    const width = this.drawing.clientWidth;
    const height = this.drawing.clientHeight - LEGEND;
    if (!this.width || width <= 0 || height <= 0) return;
    this.moved = false;
    this.scale = Math.max(SMALLEST, Math.min(FIT_AT_MOST, width / this.width, height / this.height));
    this.x = (width - this.width * this.scale) / 2;
    this.y = Math.max(0, (height - this.height * this.scale) / 2);
    this.show();
  }

  zoom(factor, x = this.drawing.clientWidth / 2, y = this.drawing.clientHeight / 2) {
    const scale = Math.max(SMALLEST, Math.min(LARGEST, this.scale * factor));
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.moved = true;
    this.show();
  }

  // Moves a node into sight, if it is outside.
  reveal(node) {
    const { clientWidth, clientHeight } = this.drawing;
    const [x, y] = [node.x * this.scale + this.x, node.y * this.scale + this.y];
    if (x > 0 && x < clientWidth && y > 0 && y < clientHeight && this.scale > 0.35) return;
    this.scale = Math.max(this.scale, 0.8);
    this.x = clientWidth / 2 - node.x * this.scale;
    this.y = clientHeight / 2 - node.y * this.scale;
    this.moved = true;
    this.show();
  }

  wheel(event) {
    event.preventDefault();
    const box = this.drawing.getBoundingClientRect();
    this.zoom(
      Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)),
      event.clientX - box.left,
      event.clientY - box.top,
    );
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    if (this.pointers.size === 1) {
      const [byX, byY] = [event.clientX - before.clientX, event.clientY - before.clientY];
      this.dragged += Math.abs(byX) + Math.abs(byY);
      if (this.dragged > A_CLICK) this.shift(byX, byY);
    } else this.pinch(event, before);
    this.pointers.set(event.pointerId, event);
  }

  pinch(event, before) {
    const other = [...this.pointers.values()].find((each) => each.pointerId !== event.pointerId);
    const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
    const box = this.drawing.getBoundingClientRect();
    this.dragged = A_CLICK + 1;
    this.zoom(
      apart(event) / apart(before),
      (event.clientX + other.clientX) / 2 - box.left,
      (event.clientY + other.clientY) / 2 - box.top,
    );
  }

  shift(byX, byY) {
    this.x += byX;
    this.y += byY;
    this.moved = true;
    this.show();
  }

  // Once a frame is enough.
  show() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.drawing.classList.toggle("far", this.scale < FAR);
      this.content.setAttribute(
        "transform",
        `translate(${this.x.toFixed(1)} ${this.y.toFixed(1)}) scale(${this.scale.toFixed(4)})`,
      );
    });
  }
}
