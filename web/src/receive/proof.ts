/**
 * The proof that the other end of a session knows the same link, and that nobody is between, as
 * `python/adieu/cli/sending/proof.py` has it. Both show an HMAC of both certificates' fingerprints under the key of the
 * link. A server that swaps the descriptions makes two connections, with other fingerprints. From the proof on, the pin
 * refuses every description with another one.
 */

import type { Session } from "adieu-rtc";
import { hex, utf8 } from "../../../js/src/bytes.js";
import { hasher } from "../../../js/src/sha256.js";
import type { Link } from "./link.js";
import { ExchangeError, type Line, RefusedError } from "./messages.js";

const BLOCK = 64;
const FINGERPRINT = /^a=fingerprint:(\S+) (\S+)\s*$/gim;
/** Hashes a page without TLS too, where the browser's own hashing is absent. These texts are short. */
const make = hasher();

/** The other side does not know the key, or somebody is between. */
export class WrongLinkError extends ExchangeError {
  constructor() {
    super((why) => why.wrongLink);
  }
}

/** RFC 2104 with SHA-256. */
export function hmac(key: Uint8Array, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const hashed = (...pieces: Uint8Array[]) => {
    const hash = make();
    for (const piece of pieces) hash.add(piece);
    return hash.digest();
  };
  const padded = new Uint8Array(BLOCK);
  padded.set(key.length > BLOCK ? hashed(key) : key);
  const pad = (value: number) => padded.map((byte) => byte ^ value);
  return hashed(pad(0x5c), hashed(pad(0x36), data));
}

/** Return what one side shows: `sender` or `receiver`, with the fingerprints of both. */
export function linkMac(key: Uint8Array, who: "sender" | "receiver", sender: string, receiver: string) {
  return hmac(key, utf8(`adieu send 1 link ${who} ${sender} ${receiver}`));
}

/** Return the one SHA-256 fingerprint of a description, in plain hex. Throws WrongLinkError: there is not just one. */
export function fingerprintOf(description: { sdp?: string } | null | undefined): string {
  const all = [...(description?.sdp ?? "").matchAll(FINGERPRINT)];
  const found = new Set(all.map(([, name, value]) => `${name} ${value!.replaceAll(":", "")}`.toLowerCase()));
  const [only = ""] = found;
  if (found.size !== 1 || !/^sha-256 [0-9a-f]{64}$/.test(only)) throw new WrongLinkError();
  return only.slice("sha-256 ".length);
}

/** One certificate for all connections of this page, and the proved one of the sender. */
export class Pin {
  #proved: string | undefined;
  readonly #made = new Set<RTCPeerConnection>();

  constructor(readonly certificate: RTCCertificate) {}

  /** Whether the sender has proved itself. */
  get isSet(): boolean {
    return this.#proved !== undefined;
  }

  /** Return a new connection, which takes no description of anybody else than the proved sender. */
  connection(iceServers: RTCIceServer[]): RTCPeerConnection {
    const pc = new RTCPeerConnection({ iceServers, certificates: [this.certificate] });
    const set = pc.setRemoteDescription.bind(pc);
    pc.setRemoteDescription = async (description: RTCSessionDescriptionInit): Promise<void> => {
      if (this.#proved && fingerprintOf(description) !== this.#proved) {
        throw new DOMException("the description names another certificate than the proved one", "OperationError");
      }
      await set(description);
    };
    this.#forgetClosed();
    this.#made.add(pc);
    return pc;
  }

  /** Give open connections other ICE servers. */
  renew(iceServers: RTCIceServer[]): void {
    this.#forgetClosed();
    for (const pc of this.#made) pc.setConfiguration({ ...pc.getConfiguration(), iceServers });
  }

  #forgetClosed(): void {
    for (const old of this.#made) if (old.signalingState === "closed") this.#made.delete(old);
  }

  /** Refuse all other certificates from now on. A connection that has one is closed. */
  set(proved: string): void {
    this.#proved = proved;
    for (const pc of this.#made) {
      if (pc.remoteDescription && fingerprintOf(pc.remoteDescription) !== proved) pc.close();
    }
  }

  /** Forget the sender: the session with it has ended. */
  clear(): void {
    this.#proved = undefined;
  }
}

/** Prove that this page knows the link, let the sender do the same, and pin its certificate. Throws WrongLinkError. */
export async function prove(session: Session, line: Line, { key }: Link, pin: Pin): Promise<void> {
  // The browser has checked that the other end has the certificate of the description.
  const theirs = fingerprintOf(session.pc?.remoteDescription);
  const own = fingerprintOf(session.pc?.localDescription);
  await line.send({ type: "link", mac: base64(linkMac(key, "receiver", theirs, own)) });
  let shown: string;
  try {
    ({ mac: shown } = await line.next("confirm"));
  } catch (error) {
    throw error instanceof RefusedError ? new WrongLinkError() : error;
  }
  const wanted = base64(linkMac(key, "sender", theirs, own));
  if (shown !== wanted || fingerprintOf(session.pc?.remoteDescription) !== theirs) throw new WrongLinkError();
  pin.set(theirs);
}

function base64(data: Uint8Array): string {
  return btoa(String.fromCharCode(...data));
}

/** Return the SHA-256 of a text, in hex. */
export function digestOf(text: string): string {
  const hash = make();
  hash.add(utf8(text));
  return hex(hash.digest());
}
