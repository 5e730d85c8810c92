/** Time for tests, of the kit for users' tests. */

export { settled, VirtualTime } from "../src/testing/time.js";

/** Why a test that puts a page of its own in the place of the real one does not run in a browser. */
export const DOCUMENT_STAYS = typeof document !== "undefined" && "a browser lets nobody replace its document";
