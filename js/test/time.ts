/** Time for tests, of the kit for users' tests. */

// What the SDK loads when it is needed is here at once: loading takes real time, and virtual time would not wait for it.
import "../src/session/files/folders.js";
import "../src/session/machine/progress.js";
import "../src/session/media-account.js";
import "../src/session/recording.js";

export { settled, VirtualTime } from "../src/testing/time.js";

/** Why a test that puts a page of its own in the place of the real one does not run in a browser. */
export const DOCUMENT_STAYS = typeof document !== "undefined" && "a browser lets nobody replace its document";
