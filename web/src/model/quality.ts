/** How good a connection is, and why: from the browser's statistics over the last seconds. */

/** The numbers of one look at the statistics that matter. */
export interface Sample {
  /** Whether a relay passes everything on. */
  relay: boolean;
  /** Seconds there and back. */
  trip: number | undefined;
  /** Packets of media that came, and that did not, since the beginning. */
  received: number;
  lost: number;
  /** The part of our packets that the other side lately missed; undefined: it says nothing. */
  missed: number | undefined;
}

/** `slow` and `lossy` are what a person notices; empty while it is fine. */
export interface Quality {
  trouble: "" | "slow" | "lossy";
  relay: boolean;
  /** Seconds there and back. */
  trip: number | undefined;
  /** The part of the packets that is lost, in the worse direction; undefined: there is no media. */
  loss: number | undefined;
}

/** Samples that are looked at together. */
const WINDOW = 4;
/** Packets without which a loss says nothing. */
const ENOUGH = 50;
/** Where trouble begins, and below what it is over: in between it stays as it was. */
const SLOW = { from: 0.4, until: 0.3 };
const LOSSY = { from: 0.05, until: 0.03 };

type Report = Iterable<readonly [string, Record<string, unknown>]>;

/** Read the statistics of a connection; undefined: it has no path yet. */
export function sampleOf(report: Report): Sample | undefined {
  const all = new Map(report);
  const of = (type: string) => [...all.values()].filter((one) => one.type === type);
  const selected = of("transport").map((transport) => all.get(String(transport.selectedCandidatePairId)));
  const pair = selected.find(Boolean) ?? of("candidate-pair").find((one) => one.selected === true);
  if (!pair) return undefined;
  const ends = [pair.localCandidateId, pair.remoteCandidateId].map((id) => all.get(String(id)));
  const inbound = of("inbound-rtp");
  const remote = of("remote-inbound-rtp");
  const missed = remote.flatMap(({ fractionLost }) => number(fractionLost) ?? []);
  const trips = [pair.currentRoundTripTime, ...remote.map(({ roundTripTime }) => roundTripTime)];
  return {
    relay: ends.some((end) => end?.candidateType === "relay"),
    trip: trips.map(number).find((trip) => trip !== undefined),
    received: sum(inbound, "packetsReceived"),
    lost: Math.max(0, sum(inbound, "packetsLost")),
    missed: missed.length ? Math.max(...missed) : undefined,
  };
}

function number(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

function sum(all: readonly Record<string, unknown>[], name: string): number {
  return all.reduce((sum, one) => sum + (number(one[name]) ?? 0), 0);
}

/** Judges samples of one peer as they come. */
export class Gauge {
  #samples: Sample[] = [];
  #slow = false;
  #lossy = false;

  /** Return how good the connection is with this sample. */
  add(sample: Sample): Quality {
    const last = this.#samples.at(-1);
    if (last && sample.received < last.received) this.#samples = []; // another connection: it counts from 0
    this.#samples.push(sample);
    if (this.#samples.length > WINDOW) this.#samples.shift();
    const trip = middle(this.#samples.flatMap(({ trip }) => trip ?? []));
    const loss = this.#loss();
    const sure = this.#samples.length === WINDOW;
    this.#slow = is(trip, SLOW, this.#slow, sure);
    this.#lossy = is(loss, LOSSY, this.#lossy, sure);
    return { trouble: this.#lossy ? "lossy" : this.#slow ? "slow" : "", relay: sample.relay, trip, loss };
  }

  /** Return the part that is lost, in the worse direction. */
  #loss(): number | undefined {
    const [first, last] = [this.#samples[0]!, this.#samples.at(-1)!];
    const lost = Math.max(0, last.lost - first.lost);
    const all = lost + last.received - first.received;
    const missed = middle(this.#samples.flatMap(({ missed }) => missed ?? []));
    const here = all >= ENOUGH ? lost / all : undefined;
    return here === undefined ? missed : Math.max(here, missed ?? 0);
  }
}

/** One odd value among several changes nothing. */
function middle(values: number[]): number | undefined {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)];
}

function is(value: number | undefined, { from, until }: typeof SLOW, before: boolean, sure: boolean): boolean {
  if (value === undefined) return false;
  return before ? value >= until : sure && value >= from;
}
