/** Media in the part of a receipt that both sides agree on. Loaded when there is media. */

import type { Closed, MediaAccount } from "../../protocol/messages.js";

/** Return, by mid and sender, what it sent and how much of that came: if both last words have an account of media. */
export function agree(me: string, mine: Closed, peer: string, theirs: Closed | undefined): Map<string, unknown> {
  const [here, there] = [mine.media, theirs?.media];
  const mids = here?.size && there?.size ? new Set([...here.keys(), ...there.keys()]) : [];
  return new Map(
    Array.from(mids, (mid) => {
      const [one, other] = [here!.get(mid) ?? {}, there!.get(mid) ?? {}];
      return [
        mid,
        new Map([
          [me, oneWay(one, other)],
          [peer, oneWay(other, one)],
        ]),
      ];
    }),
  );
}

/** The members are in the order of their names, as in all of the agreed part. */
function oneWay({ packets = 0, bytes = 0, unsentMs = 0 }: MediaAccount, { arrived = 0 }: MediaAccount): object {
  return { arrived: Math.min(arrived, packets), sent: [packets, bytes], unsentMs };
}
