// Which texts of the map are shown: the more important ones first, and none over another or over a box.

/** @typedef {{ x: number, y: number, width: number, height: number }} Box A rectangle, by its middle and its size. */

const CELL = 96;

/** The places that are taken, by the squares of a grid. */
export class FreePlaces {
  /** @param {Iterable<Box>} taken */
  constructor(taken) {
    /** @type {Map<string, Box[]>} */
    this.cells = new Map();
    for (const box of taken) this.add(box);
  }

  /**
   * Take a place if it is free.
   * @param {Box} box
   */
  take(box) {
    const isFree = listCells(box).every((cell) => !this.cells.get(cell)?.some((other) => overlap(box, other)));
    if (isFree) this.add(box);
    return isFree;
  }

  /** @param {Box} box */
  add(box) {
    for (const cell of listCells(box)) {
      const boxes = this.cells.get(cell);
      if (boxes) boxes.push(box);
      else this.cells.set(cell, [box]);
    }
  }
}

/** @param {Box} box */
function listCells({ x, y, width, height }) {
  const cells = [];
  for (let column = Math.floor((x - width / 2) / CELL); column <= Math.floor((x + width / 2) / CELL); column += 1) {
    for (let row = Math.floor((y - height / 2) / CELL); row <= Math.floor((y + height / 2) / CELL); row += 1) {
      cells.push(`${column} ${row}`);
    }
  }
  return cells;
}

/**
 * @param {Box} one
 * @param {Box} other
 */
function overlap(one, other) {
  return (
    Math.abs(one.x - other.x) < (one.width + other.width) / 2 &&
    Math.abs(one.y - other.y) < (one.height + other.height) / 2
  );
}
