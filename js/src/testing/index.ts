/** A kit for your own tests: a link that fails as you say, programs that freeze, die and lie, virtual time. */

export { Link, type LinkOptions, type Side } from "./link.js";
export { Program, type VirtualPair, type VirtualPairOptions, virtualPair } from "./program.js";
export { settled, VirtualTime } from "./time.js";
