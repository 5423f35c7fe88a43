import assert from "node:assert/strict";
import { test } from "node:test";
import {
  fitMap,
  fitReadable,
  formatTransform,
  listSidesBeyond,
  revealPoint,
  zoomAt,
} from "../../asyncdsm/agent/page/viewport.js";

const SCREEN = { width: 1000, height: 544 };

test("a small map is enlarged a little and placed in the middle above the legend", () => {
  assert.deepEqual(fitMap({ width: 200, height: 100 }, SCREEN), { x: 385, y: 192.5, scale: 1.15 });
});

test("a large map is made as small as it must be to be seen as a whole", () => {
  assert.deepEqual(fitMap({ width: 4000, height: 1000 }, SCREEN), { x: 0, y: 125, scale: 0.25 });
  assert.equal(fitMap({ width: 1e6, height: 1e6 }, SCREEN)?.scale, 0.04);
});

test("a map is fitted into what the legend leaves free, with a margin for labels", () => {
  const phone = { width: 400, height: 400, covered: 100, margin: 20 };
  assert.deepEqual(fitMap({ width: 300, height: 600 }, phone), { x: 125, y: 0, scale: 0.5 });
  assert.deepEqual(fitMap({ width: 600, height: 100 }, phone), { x: 20, y: 120, scale: 0.6 });
  assert.deepEqual(fitReadable({ width: 780, height: 100 }, phone), { x: 20, y: 125, scale: 0.5 });
});

test("a map or a screen without a size is not fitted", () => {
  assert.equal(fitMap({ width: 0, height: 0 }, SCREEN), null);
  assert.equal(fitMap({ width: 100, height: 100 }, { width: 0, height: 0 }), null);
  assert.equal(fitReadable({ width: 100, height: 100 }, { width: 100, height: 44 }), null);
});

test("a map whose names can be read is fitted as a whole", () => {
  const map = { width: 1500, height: 500 };
  assert.deepEqual(fitReadable(map, SCREEN), fitMap(map, SCREEN));
});

test("a map whose names could not be read is shown from its beginning", () => {
  assert.deepEqual(fitReadable({ width: 4000, height: 2000 }, SCREEN), { x: 0, y: 0, scale: 0.5 });
  const map = { width: 4000, height: 2000, start: { x: 100, y: 900 } };
  assert.deepEqual(fitReadable(map, SCREEN), { x: 0, y: 250 - 450, scale: 0.5 });
  assert.equal(fitReadable({ ...map, start: { x: 100, y: 1900 } }, SCREEN)?.y, 500 - 1000);
});

test("zooming keeps the point under the pointer where it is", () => {
  const at = { x: 300, y: 200 };
  const viewport = zoomAt({ x: 100, y: 50, scale: 1 }, 2, at);
  assert.deepEqual(viewport, { x: -100, y: -100, scale: 2 });
  assert.deepEqual(zoomAt(viewport, 0.5, at), { x: 100, y: 50, scale: 1 });
});

test("zooming stops at the largest and the smallest scale", () => {
  assert.equal(zoomAt({ x: 0, y: 0, scale: 1 }, 100, { x: 0, y: 0 }).scale, 2.5);
  assert.equal(zoomAt({ x: 0, y: 0, scale: 1 }, 0.001, { x: 0, y: 0 }).scale, 0.04);
});

test("a point that can be seen stays where it is", () => {
  assert.equal(revealPoint({ x: 0, y: 0, scale: 1 }, { x: 500, y: 200 }, SCREEN), null);
});

test("a point outside the screen, or too small, is moved to the middle", () => {
  const centred = { x: 500 - 2000, y: 272 - 200, scale: 1 };
  assert.deepEqual(revealPoint({ x: 0, y: 0, scale: 1 }, { x: 2000, y: 200 }, SCREEN), centred);
  const enlarged = revealPoint({ x: 0, y: 0, scale: 0.1 }, { x: 500, y: 200 }, SCREEN);
  assert.equal(enlarged?.scale, 0.8);
});

test("a transform has as many digits as a screen can show", () => {
  assert.equal(formatTransform({ x: 1.23456, y: -2, scale: 1 / 3 }), "translate(1.2 -2.0) scale(0.3333)");
});

test("a map that is wider than the screen goes on at one side or both", () => {
  const map = { width: 1000, height: 100 };
  const screen = { width: 400, height: 400 };
  assert.deepEqual(listSidesBeyond(map, screen, { x: 20, y: 0, scale: 0.3 }), []);
  assert.deepEqual(listSidesBeyond(map, screen, { x: 20, y: 0, scale: 0.5 }), ["right"]);
  assert.deepEqual(listSidesBeyond(map, screen, { x: -50, y: 0, scale: 0.5 }), ["left", "right"]);
  assert.deepEqual(listSidesBeyond(map, screen, { x: -300, y: 0, scale: 0.5 }), ["left"]);
});
