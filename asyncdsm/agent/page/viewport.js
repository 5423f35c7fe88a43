// Which part of the map is visible, and how large: the arithmetic, without a browser.

/**
 * @typedef {{ x: number, y: number, scale: number }} Viewport
 * Where the map's origin is on the screen, in pixels, and how many pixels of the screen are one of the map.
 * @typedef {{ x: number, y: number }} Point
 * @typedef {{ width: number, height: number }} Size
 * @typedef {Size & { start?: Point }} MapSize The size of a map, and where its messages begin.
 * @typedef {Size & { covered?: number, margin?: number }} Screen The size of a screen, how much of its height is below
 *   the legend, and what is kept free at the left and the right: labels may be wider than the map.
 */

const [MIN_SCALE, MAX_SCALE] = [0.04, 2.5];
const MAX_FITTED_SCALE = 1.15;
// A map that would need a smaller scale than this is not fitted: its beginning is shown instead.
const MIN_READABLE_SCALE = 0.5;
const [MIN_REVEALED_SCALE, REVEALED_SCALE] = [0.35, 0.8];
const LEGEND_HEIGHT = 44;

/**
 * Fit the whole map into the screen, above the legend.
 * @param {Size} map
 * @param {Screen} screen
 * @returns {Viewport | null} Null if the map or the screen has no size.
 */
export function fitMap(map, screen) {
  const height = freeHeight(screen);
  const width = screen.width - 2 * (screen.margin ?? 0);
  if (!map.width || width <= 0 || height <= 0) return null;
  const fitted = Math.min(MAX_FITTED_SCALE, width / map.width, height / map.height);
  return placeMap(map, { width: screen.width, height }, Math.max(MIN_SCALE, fitted));
}

/** @param {Screen} screen */
const freeHeight = ({ height, covered = 0 }) => height - Math.max(LEGEND_HEIGHT, covered);

/**
 * Fit the whole map if its names can be read then; otherwise show where messages begin at a scale at which they can.
 * @param {MapSize} map
 * @param {Screen} screen
 * @returns {Viewport | null} Null if the map or the screen has no size.
 */
export function fitReadable(map, screen) {
  const fitted = fitMap(map, screen);
  if (!fitted || fitted.scale >= MIN_READABLE_SCALE) return fitted;
  const { x, y } = map.start ?? { x: 0, y: 0 };
  const scale = MIN_READABLE_SCALE;
  return {
    x: placeStart(x * scale, map.width * scale, screen.width, screen.margin),
    y: placeStart(y * scale, map.height * scale, freeHeight(screen)),
    scale,
  };
}

/**
 * Place a map along one axis: in the middle if it fits, or with its start as near to the middle as its size allows.
 * @param {number} start
 * @param {number} length
 * @param {number} room
 * @param {number} [margin]
 */
function placeStart(start, length, room, margin = 0) {
  if (length <= room - 2 * margin) return (room - length) / 2;
  return Math.min(margin, Math.max(room - length - margin, room / 2 - start));
}

/**
 * Place the map in the middle of a screen; a map that is higher than the screen begins at its top.
 * @param {Size} map
 * @param {Size} screen
 * @param {number} scale
 * @returns {Viewport}
 */
function placeMap(map, screen, scale) {
  const x = (screen.width - map.width * scale) / 2;
  const y = Math.max(0, (screen.height - map.height * scale) / 2);
  return { x, y, scale };
}

/**
 * Change the scale so that the point of the map that is at a point of the screen stays there.
 * @param {Viewport} viewport
 * @param {number} factor
 * @param {Point} at
 * @returns {Viewport}
 */
export function zoomAt(viewport, factor, at) {
  const scale = Math.max(MIN_SCALE, Math.min(MAX_SCALE, viewport.scale * factor));
  const x = at.x - ((at.x - viewport.x) * scale) / viewport.scale;
  const y = at.y - ((at.y - viewport.y) * scale) / viewport.scale;
  return { x, y, scale };
}

/**
 * Move a point of the map to the middle of the screen, if it is outside the screen or too small to be seen.
 * @param {Viewport} viewport
 * @param {Point} point In pixels of the map.
 * @param {Size} screen
 * @returns {Viewport | null} Null if the point can be seen already.
 */
export function revealPoint(viewport, point, screen) {
  const [x, y] = [point.x * viewport.scale + viewport.x, point.y * viewport.scale + viewport.y];
  const isInside = x > 0 && x < screen.width && y > 0 && y < screen.height;
  if (isInside && viewport.scale > MIN_REVEALED_SCALE) return null;
  const scale = Math.max(viewport.scale, REVEALED_SCALE);
  return { x: screen.width / 2 - point.x * scale, y: screen.height / 2 - point.y * scale, scale };
}

/**
 * Return at which sides of the screen the map goes on.
 * @param {Size} map
 * @param {Size} screen
 * @param {Viewport} viewport
 */
export function listSidesBeyond(map, screen, { x, scale }) {
  return [...(x < 0 ? ["left"] : []), ...(x + map.width * scale > screen.width ? ["right"] : [])];
}

/** @param {Viewport} viewport */
export function formatTransform({ x, y, scale }) {
  return `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${scale.toFixed(4)})`;
}
