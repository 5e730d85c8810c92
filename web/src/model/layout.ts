/** Where the pictures of people are: as large as possible, and one's own in a place that is free. */

/** The corners for one's own picture while there is one other person. */
export const CORNERS = ["bottom right", "bottom left", "top left", "top right"] as const;
export type Corner = (typeof CORNERS)[number];
export type Direction = "left" | "right" | "up" | "down";

const WIDE = 16 / 9;

/** Return the columns and rows that make so many pictures the largest. */
export function arrange(count: number, width: number, height: number): { columns: number; rows: number } {
  let best = { columns: 1, rows: Math.max(count, 1), size: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const size = Math.min(width / columns, (height / rows) * WIDE);
    if (size > best.size * 1.01) best = { columns, rows, size };
  }
  return { columns: best.columns, rows: best.rows };
}

/** Return the corner beside this one. */
export function cornerBeside(corner: Corner, to: Direction): Corner {
  const [row, side] = corner.split(" ") as ["top" | "bottom", "left" | "right"];
  if (to === "left" || to === "right") return `${row} ${to}`;
  return `${to === "up" ? "top" : "bottom"} ${side}`;
}

/** Return the place in the grid beside this one: the first is 0. */
export function placeBeside(place: number, to: Direction, count: number, columns: number): number {
  const steps = { left: -1, right: 1, up: -columns, down: columns };
  const next = place + steps[to];
  return next < 0 || next >= count ? place : next;
}
