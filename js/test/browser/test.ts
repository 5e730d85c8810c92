/** What the tests use of `node:test`, for a page: an import map puts it in its place. */

type Body = (context: Context) => unknown;

interface Options {
  skip?: string | false;
}

interface Case {
  name: string;
  body: Body;
  skip: string | false;
}

/** A function that was replaced, and how often it was called. */
interface Mock {
  (...args: unknown[]): unknown;
  mock: { callCount(): number };
}

class Context {
  #restore: (() => void)[] = [];

  readonly mock = {
    method: (object: Record<string, unknown>, name: string, instead: (...args: unknown[]) => unknown): Mock => {
      let calls = 0;
      const before = object[name];
      const replaced = (...args: unknown[]) => {
        calls++;
        return instead(...args);
      };
      object[name] = replaced;
      this.#restore.push(() => {
        object[name] = before;
      });
      return Object.assign(replaced, { mock: { callCount: () => calls } });
    },
  };

  end(): void {
    for (const restore of this.#restore) restore();
  }
}

const cases: Case[] = [];
const groups: string[] = [];

export function test(name: string, ...rest: [Body] | [Options, Body]): void {
  const [{ skip = false }, body] = rest.length === 2 ? rest : [{}, rest[0]];
  cases.push({ name: [...groups, name].join(": "), body, skip });
}

export function describe(name: string, body: () => void): void {
  groups.push(name);
  body();
  groups.pop();
}

export interface Results {
  passed: number;
  /** With the reason. */
  skipped: Record<string, string>;
  /** With the error. */
  failed: Record<string, string>;
}

/** Load a module of tests and run them, one after the other. */
export async function run(module: string): Promise<Results> {
  provide();
  await import(module);
  const results: Results = { passed: 0, skipped: {}, failed: {} };
  for (const { name, body, skip } of cases) {
    if (skip) {
      results.skipped[name] = skip;
      continue;
    }
    const context = new Context();
    try {
      await body(context);
      results.passed++;
    } catch (error) {
      results.failed[name] = error instanceof Error ? `${error.name}: ${error.message}\n${error.stack}` : String(error);
    } finally {
      context.end();
    }
  }
  return results;
}

/** `setImmediate`, after everything that waits for nothing else; and a process, whose time a page cannot know. */
function provide(): void {
  const { port1, port2 } = new MessageChannel();
  const calls: (() => void)[] = [];
  port1.onmessage = () => calls.shift()?.();
  const setImmediate = (call: () => void) => {
    calls.push(call);
    port2.postMessage(undefined);
  };
  const process = { env: {}, cpuUsage: () => ({ user: 0, system: 0 }) };
  Object.assign(globalThis, { setImmediate, process });
}
