/** SHA-256 in a worker, for pages without TLS and for whole files: loaded when it is used. */

import { Deferred } from "./promises.js";
import { type Hash, hasher } from "./sha256.js";

/** Milliseconds without work, after which the worker is ended. */
const IDLE = 5000;

interface Answer {
  id: number;
  hash?: Uint8Array<ArrayBuffer>;
  error?: string;
}

interface Policy {
  createScriptURL(url: string): unknown;
}

interface TrustedTypes {
  createPolicy(name: string, rules: Policy): Policy;
}

let policy: Policy | undefined;
let worker: Worker | undefined;
let idle: ReturnType<typeof setTimeout> | undefined;
let count = 0;
const waiting = new Map<number, Deferred<Uint8Array<ArrayBuffer>>>();

/** Hash it in a worker; where there are no workers, here. */
export function elsewhere(what: Blob | Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  if (typeof Worker === "undefined") return hashed(hasher(), what); // no page
  const answer = new Deferred<Uint8Array<ArrayBuffer>>();
  const id = ++count;
  waiting.set(id, answer);
  clearTimeout(idle);
  try {
    worker ??= start();
    worker.postMessage({ id, what });
  } catch (error) {
    broken(String(error));
  }
  return answer.promise.finally(() => {
    if (waiting.size) return;
    clearTimeout(idle);
    idle = setTimeout(end, IDLE);
  });
}

function start(): Worker {
  // Of one file with the rest of the SDK, whatever bundles it: the worker's program is the text of two functions.
  const url = URL.createObjectURL(new Blob([`(${serve})(${hashed},(${hasher})())`], { type: "text/javascript" }));
  try {
    const made = new Worker(trusted(url) as string);
    made.onmessage = ({ data: { id, hash, error } }: MessageEvent<Answer>) => {
      const answer = waiting.get(id);
      waiting.delete(id);
      if (hash) answer?.resolve(hash);
      else answer?.reject(new Error(error));
    };
    made.onerror = (event) => {
      event.preventDefault();
      broken(event.message);
    };
    return made;
  } finally {
    setTimeout(() => URL.revokeObjectURL(url), IDLE); // Firefox looks at it a moment later
  }
}

/** A page may take only addresses of scripts that a policy of its own list has made ("trusted-types adieu-rtc"). */
function trusted(url: string): unknown {
  policy ??= (globalThis as { trustedTypes?: TrustedTypes }).trustedTypes?.createPolicy("adieu-rtc", {
    createScriptURL: (own) => own,
  });
  return policy ? policy.createScriptURL(url) : url;
}

/** No worker is available. The page itself does not hash, because it would hang for seconds. */
function broken(why = ""): void {
  const error = new Error(
    `a file cannot be checked here: the page may have no worker (${why || "blocked"}); serve it by TLS, or allow "worker-src blob:"`,
  );
  for (const answer of waiting.values()) answer.reject(error);
  waiting.clear();
  end();
}

function end(): void {
  worker?.terminate();
  worker = undefined;
}

/** In the worker: hash what comes, one after the other. Uses nothing from outside of itself. */
function serve(hash: typeof hashed, make: () => Hash): void {
  let last: Promise<unknown> = Promise.resolve();
  addEventListener("message", ({ data: { id, what } }) => {
    last = last.then(async () => {
      try {
        postMessage({ id, hash: await hash(make, what) });
      } catch (error) {
        postMessage({ id, error: String(error) });
      }
    });
  });
}

/** Uses nothing from outside of itself. */
async function hashed(make: () => Hash, what: Blob | Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const hash = make();
  if (what instanceof Blob) {
    const piece = 1024 * 1024;
    for (let at = 0; at < what.size; at += piece) {
      hash.add(new Uint8Array(await what.slice(at, at + piece).arrayBuffer()));
    }
  } else {
    hash.add(what);
  }
  return hash.digest();
}
