import assert from "node:assert/strict";
import { test } from "node:test";
import { pathOf } from "../src/view/qr.js";

const BORDER = 4;

/** Read the modules back from the picture's path. */
function modules(text: string): boolean[][] {
  const { path, width } = pathOf(text);
  const size = width - 2 * BORDER;
  const rows = Array.from({ length: size }, () => Array.from({ length: size }, () => false));
  for (const [, x, y] of path.matchAll(/M(\d+) (\d+)h1v1h-1z/g)) {
    const [row, column] = [Number(y) - BORDER, Number(x) - BORDER];
    assert.ok(row >= 0 && row < size && column >= 0 && column < size, "the border is light");
    rows[row]![column] = true;
  }
  return rows;
}

const MASKS: ((row: number, column: number) => boolean)[] = [
  (i, j) => (i + j) % 2 === 0,
  (i) => i % 2 === 0,
  (_, j) => j % 3 === 0,
  (i, j) => (i + j) % 3 === 0,
  (i, j) => (Math.floor(i / 2) + Math.floor(j / 3)) % 2 === 0,
  (i, j) => ((i * j) % 2) + ((i * j) % 3) === 0,
  (i, j) => (((i * j) % 2) + ((i * j) % 3)) % 2 === 0,
  (i, j) => (((i + j) % 2) + ((i * j) % 3)) % 2 === 0,
];

/** Decode a code of one block, as ISO 18004 has it, without its correction of errors. */
function decoded(rows: boolean[][]): string {
  const size = rows.length;
  const format = [0, 1, 2, 3, 4].reduce((value, at) => value * 2 + Number(rows[8]![at]), 0) ^ 0b10101;
  const mask = MASKS[format & 7]!;
  const isFixed = (i: number, j: number) =>
    (i < 9 && j < 9) ||
    (i < 9 && j >= size - 8) ||
    (i >= size - 8 && j < 9) ||
    i === 6 ||
    j === 6 ||
    (size > 21 && Math.abs(i - (size - 7)) <= 2 && Math.abs(j - (size - 7)) <= 2);
  const bits: number[] = [];
  for (let right = size - 1, up = true; right > 0; right -= 2, up = !up) {
    if (right === 6) right--;
    for (let step = 0; step < size; step++) {
      const i = up ? size - 1 - step : step;
      for (const j of [right, right - 1]) if (!isFixed(i, j)) bits.push(Number(rows[i]![j]! !== mask(i, j)));
    }
  }
  const number = (from: number, length: number) =>
    bits.slice(from, from + length).reduce((all, bit) => all * 2 + bit, 0);
  assert.equal(number(0, 4), 4, "bytes");
  const bytes = Uint8Array.from({ length: number(4, 8) }, (_, at) => number(12 + 8 * at, 8));
  return new TextDecoder().decode(bytes);
}

test("a QR code says its link, and has the light border that cameras need", () => {
  for (const link of ["http://[fd00::9]:8080/#lab", "http://127.0.0.1:8080/#k3fp-9xqa-m2ht", "http://a.b/#ä"]) {
    assert.equal(decoded(modules(link)), link);
  }
});

test("a long link has a code too", () => {
  const { width } = pathOf(`https://adieu.example/#${"x".repeat(400)}`);
  assert.ok(width > 70 && width < 120, `${width}`);
});
