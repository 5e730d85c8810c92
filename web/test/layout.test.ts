import assert from "node:assert/strict";
import { test } from "node:test";
import { arrange, cornerBeside, placeBeside } from "../src/model/layout.js";

const shape = (count: number, width: number, height: number) => {
  const { columns, rows } = arrange(count, width, height);
  assert.ok(columns * rows >= count, "everybody has a place");
  assert.ok((rows - 1) * columns < count, "no row is empty");
  return `${columns}x${rows}`;
};

test("two to six people are as large as they can be, on a wide stage and on a tall one", () => {
  const wide = [2, 3, 4, 5, 6].map((count) => shape(count, 860, 600));
  assert.deepEqual(wide, ["1x2", "2x2", "2x2", "2x3", "2x3"]);
  const screen = [2, 3, 4, 5, 6].map((count) => shape(count, 1500, 800));
  assert.deepEqual(screen, ["2x1", "2x2", "2x2", "3x2", "3x2"]);
  const phone = [2, 3, 4, 5, 6].map((count) => shape(count, 390, 320));
  assert.deepEqual(phone, ["1x2", "2x2", "2x2", "2x3", "2x3"]);
  assert.equal(shape(6, 200, 900), "1x6");
  assert.equal(shape(1, 860, 600), "1x1");
  assert.deepEqual(arrange(0, 0, 0), { columns: 1, rows: 1 });
});

test("arrow keys move one's own picture from corner to corner, and from place to place", () => {
  assert.equal(cornerBeside("bottom right", "left"), "bottom left");
  assert.equal(cornerBeside("bottom left", "up"), "top left");
  assert.equal(cornerBeside("top left", "up"), "top left");
  assert.equal(cornerBeside("top left", "right"), "top right");
  assert.equal(placeBeside(5, "left", 6, 3), 4);
  assert.equal(placeBeside(4, "up", 6, 3), 1);
  assert.equal(placeBeside(1, "up", 6, 3), 1, "there is none above");
  assert.equal(placeBeside(5, "right", 6, 3), 5);
});
