/** What the tests use of `node:assert/strict`, for a page: an import map puts it in its place. */

type Check = (error: unknown) => boolean;
type Expected = RegExp | Check | (new (...args: never[]) => unknown) | Record<string, unknown>;

class AssertionError extends Error {
  override name = "AssertionError";
}

function shown(value: unknown): string {
  const plain = (_: string, part: unknown) =>
    part instanceof Map || part instanceof Set ? [...part] : typeof part === "bigint" ? String(part) : part;
  return value instanceof Error ? String(value) : (JSON.stringify(value, plain) ?? String(value));
}

function check(holds: boolean, what: () => string, message?: unknown): void {
  if (!holds) throw new AssertionError([message, what()].filter(Boolean).join(": "));
}

/** As Node has it: the same types, members and order of lists; the order of members and of sets is free. */
function isSame(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== "object" || typeof other !== "object" || !one || !other) return false;
  if (Object.getPrototypeOf(one) !== Object.getPrototypeOf(other)) return false;
  if (one instanceof Set && other instanceof Set) {
    return one.size === other.size && [...one].every((item) => [...other].some((known) => isSame(item, known)));
  }
  if (one instanceof Map && other instanceof Map) {
    return one.size === other.size && [...one].every(([key, item]) => other.has(key) && isSame(item, other.get(key)));
  }
  const [a, b] = [one as Record<string, unknown>, other as Record<string, unknown>];
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && isSame(a[name], b[name])) &&
    (!(one instanceof Error) || one.message === (other as Error).message)
  );
}

function thrown(error: unknown, expected: Expected | undefined): void {
  if (expected === undefined) return;
  if (typeof expected === "function" && !expected.prototype) {
    check((expected as Check)(error), () => `${error} is another than expected`);
  } else if (typeof expected === "function") {
    check(error instanceof expected, () => `${error} is no ${expected.name}`);
  } else if (expected instanceof RegExp) {
    check(expected.test(String(error)), () => `${error} is not like ${expected}`);
  } else {
    for (const [name, wanted] of Object.entries(expected)) {
      const member = (error as Record<string, unknown>)[name];
      const holds = wanted instanceof RegExp ? wanted.test(String(member)) : isSame(member, wanted);
      check(holds, () => `${name} of ${error}: ${shown(member)}, not ${shown(wanted)}`);
    }
  }
}

export default {
  ok: (value: unknown, message?: string) => check(!!value, () => `${shown(value)} is not true`, message),
  equal: (one: unknown, other: unknown, message?: string) =>
    check(Object.is(one, other), () => `${shown(one)}, not ${shown(other)}`, message),
  deepEqual: (one: unknown, other: unknown, message?: string) =>
    check(isSame(one, other), () => `${shown(one)}, not ${shown(other)}`, message),
  match: (text: string, pattern: RegExp) => check(pattern.test(text), () => `${text} is not like ${pattern}`),
  fail: (message: string) => check(false, () => message),
  doesNotThrow: (call: () => unknown) => void call(),
  throws: (call: () => unknown, expected?: Expected) => {
    try {
      call();
    } catch (caught) {
      return thrown(caught, expected);
    }
    check(false, () => "nothing was thrown");
  },
  rejects: async (work: Promise<unknown> | (() => Promise<unknown>), expected?: Expected) => {
    let value: unknown;
    try {
      value = await (typeof work === "function" ? work() : work);
    } catch (caught) {
      return thrown(caught, expected);
    }
    check(false, () => `not rejected, but ${shown(value)}`);
  },
};
