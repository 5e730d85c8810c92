/** Peer connections of this process, of the kit for users' tests. */

export { Link as Wire } from "../src/testing/link.js";
