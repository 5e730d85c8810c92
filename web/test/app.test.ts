import assert from "node:assert/strict";
import { test } from "node:test";
import { networkAddress } from "../src/model/link.js";
import { Meeting, NewsEvent } from "../src/model/meeting.js";
import { bodyOf, Notifications } from "../src/model/notifications.js";
import { areOn, shortcutOf, turn } from "../src/model/shortcuts.js";
import { install } from "./browser.js";

function storage() {
  const kept = new Map<string, string>();
  install({ localStorage: { getItem: (key: string) => kept.get(key) ?? null, setItem: kept.set.bind(kept) } });
  return kept;
}

test("a letter does something unless it is typed, held, with another key, or turned off", () => {
  storage();
  const press = (key: string, more = {}) =>
    shortcutOf({
      key,
      ctrlKey: false,
      altKey: false,
      metaKey: false,
      repeat: false,
      isComposing: false,
      target: null,
      ...more,
    });
  assert.equal(press("m"), "microphone");
  assert.equal(press("M"), "microphone", "with caps lock");
  assert.equal(press("?"), "list");
  assert.equal(press("x"), undefined);
  assert.equal(press("toString"), undefined);
  for (const more of [
    { ctrlKey: true },
    { altKey: true },
    { metaKey: true },
    { repeat: true },
    { isComposing: true },
  ]) {
    assert.equal(press("l", more), undefined);
  }
  const field = { closest: (selector: string) => (selector.includes("textarea") ? {} : null) };
  assert.equal(press("l", { target: field }), undefined, "nobody leaves by writing a message");
  turn(false);
  assert.deepEqual([areOn(), press("m")], [false, undefined]);
  turn(true);
  assert.equal(press("m"), "microphone");
});

function notifications({ looks = false, permission = "granted", breaks = false } = {}) {
  const shown: [title: string, body: string][] = [];
  class Maker extends EventTarget {
    static permission = "default";
    static async requestPermission() {
      Maker.permission = permission;
      return permission;
    }
    constructor(title: string, { body = "" }: NotificationOptions) {
      super();
      if (breaks) throw new TypeError("not here");
      shown.push([title, body]);
    }
  }
  const made = new Notifications(() => looks, Maker as never);
  const meeting = new Meeting({ server: "", room: "lab", devices: new EventTarget() as never });
  const over = new AbortController();
  made.follow(meeting, over.signal);
  made.follow(meeting, over.signal);
  const say = (from: string | undefined, text = "hello") =>
    meeting.dispatchEvent(
      new NewsEvent({ kind: "said", ...(from && { from }), text, at: new Date(), marks: [] } as never),
    );
  return { made, shown, say, over };
}

test("notifications are shown once they are wanted, to a person who looks elsewhere, and of others alone", async () => {
  const kept = storage();
  const { made, shown, say, over } = notifications();
  say("Ben");
  assert.equal(shown.length, 0, "nobody has asked for them");
  await made.toggle();
  assert.deepEqual([made.isOn, kept.get("adieu-notifications")], [true, "on"]);
  say("Ben");
  say(undefined);
  assert.deepEqual(shown, [["Room lab – adieu", "Ben: hello"]]);
  say("Ben", "x".repeat(900));
  assert.ok(shown[1]![1].length < 250);
  await made.toggle();
  say("Ben");
  assert.equal(shown.length, 2);
  await made.toggle();
  over.abort();
  say("Ben");
  assert.equal(shown.length, 2, "after the call");
  const other = notifications({ looks: true });
  await other.made.toggle();
  other.say("Ben");
  assert.deepEqual(other.shown, []);
});

test("a browser that refuses notifications, or shows them only for installed pages, is said to", async () => {
  storage();
  const refusing = notifications({ permission: "denied" });
  await refusing.made.toggle();
  assert.deepEqual([refusing.made.isOn, refusing.made.refused], [false, true]);
  const phone = notifications({ breaks: true });
  await phone.made.toggle();
  phone.say("Ben");
  assert.equal(phone.made.isOn, false);
  assert.equal(new Notifications(() => false, undefined).isPossible, typeof Notification !== "undefined");
});

test("notifications tell of files and of people; not of one's own files or of ends", () => {
  const note = { kind: "note", text: "Ben came in.", tone: "good", at: new Date() } as const;
  assert.equal(bodyOf(note), "Ben came in.");
  const who = { name: "Ben", label: "Ben", to: "1" };
  assert.equal(
    bodyOf({ kind: "file", shared: { who, name: "film.mp4" }, at: new Date() } as never),
    "Ben sends you film.mp4.",
  );
  assert.equal(bodyOf({ kind: "farewell" } as never), "");
});

test("the address in the network is the server's, if it gives one", async () => {
  const asked: string[] = [];
  const answer = (body: unknown, ok = true) =>
    networkAddress({ href: "http://localhost:8080/below/#lab" }, (async (url: URL) => {
      asked.push(url.href);
      return { ok, json: async () => body };
    }) as never);
  assert.equal(await answer({ address: "http://192.168.7.9:8080/" }), "http://192.168.7.9:8080/");
  assert.deepEqual(asked, ["http://localhost:8080/below/v1/address"]);
  for (const body of [{}, { address: 5 }, { address: "javascript:alert(1)" }, { address: "http://" }]) {
    assert.equal(await answer(body), "");
  }
  assert.equal(await answer({ address: "http://192.168.7.9:8080/" }, false), "");
  assert.equal(
    await networkAddress({ href: "http://localhost/" }, (() => Promise.reject(new Error("away"))) as never),
    "",
  );
});
