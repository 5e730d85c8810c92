/**
 * Checks that a description asks for one transport. Each section outside the bundle would make the browser open a
 * transport of its own, with sockets and checks. A peer must not be able to cause that.
 */

const MAX_SECTIONS = 256;
/** RFC 5888 section 5, as every implementation writes it. A line that is written otherwise may be read otherwise. */
const BUNDLE = /^a=group:BUNDLE ([!-~ ]+)$/;

/**
 * Look at a description before it is set.
 *
 * @throws Error: there are too many sections, or one that is not rejected is outside of the first one's BUNDLE group.
 */
export function checkBundle(sdp: string): void {
  const [session = [], ...sections] = sdp.split(/^m=/m).map((part) => part.split(/\r?\n/));
  if (sections.length > MAX_SECTIONS) {
    throw new Error(`the description has ${sections.length} sections, and may have ${MAX_SECTIONS}`);
  }
  const live = sections.filter((lines) => !/^\S+ 0 /.test(lines[0] ?? "") || lines.includes("a=bundle-only"));
  const [first, ...others] = live.map((lines) => lines.find((line) => line.startsWith("a=mid:"))?.slice(6));
  const groups = session.map((line) => BUNDLE.exec(line)?.[1]?.split(" ") ?? []);
  const bundle = groups.find((mids) => first && mids.includes(first)) ?? [];
  const outside = others.filter((mid) => !mid || !bundle.includes(mid));
  if (outside.length) {
    throw new Error(`the description has ${outside.length + 1} transports, not one`);
  }
}
