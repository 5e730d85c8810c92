/** Follows traces from standard input, one a line, and says of each that differs where: `node schedules.js < FILE`. */

import { createInterface } from "node:readline";
import { follow } from "./trace.js";

let followed = 0;
const differing: string[] = [];
for await (const line of createInterface({ input: process.stdin })) {
  const trace = JSON.parse(line);
  try {
    follow(trace);
  } catch (error) {
    differing.push(`${trace.scenario} ${trace.side}: ${(error as Error).message}`);
  }
  followed++;
}
console.log(JSON.stringify({ followed, differing }));
