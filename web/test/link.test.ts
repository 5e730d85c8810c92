import assert from "node:assert/strict";
import { test } from "node:test";
import { isLocal, linkTo, newRoom, roomOf, serverOf } from "../src/model/link.js";
import { knownName, rememberName } from "../src/model/memory.js";

test("a room survives its link", () => {
  for (const room of ["lab", "Ada & Ben / 2", "zimmer für zwei", "100%"]) {
    const link = linkTo(room, { href: "https://example.org/talk/?from=mail#old" });
    assert.ok(link.startsWith("https://example.org/talk/#"), link);
    assert.equal(roomOf(new URL(link)), room);
  }
});

test("an address without a room, or with nonsense, names none", () => {
  for (const hash of ["", "#", "#%20", "#%E0%A4%A"]) assert.equal(roomOf({ hash }), "");
});

test("new rooms are long, readable, and never the same", () => {
  const rooms = new Set(Array.from({ length: 1000 }, newRoom));
  assert.equal(rooms.size, 1000);
  for (const room of rooms) assert.match(room, /^[a-hkmnp-z2-9]{4}(-[a-hkmnp-z2-9]{4}){2}$/);
});

test("the server is the one that the page came from", () => {
  assert.equal(serverOf({ href: "http://127.0.0.1:8080/#lab" }), "ws://127.0.0.1:8080/ws");
  assert.equal(serverOf({ href: "https://example.org/talk/?a=1#lab" }), "wss://example.org/talk/ws");
});

test("addresses that only work here are known", () => {
  for (const place of ["http://localhost/", "http://127.0.0.1:8080/", "http://[::1]/"])
    assert.ok(isLocal(new URL(place)));
  for (const place of ["http://192.0.2.1/", "https://example.org/"]) assert.ok(!isLocal(new URL(place)));
});

test("a name is remembered, and not missed where storage is blocked", () => {
  const kept = new Map<string, string>();
  const storage = () =>
    ({
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
    }) as unknown as Storage;
  rememberName("Ada", storage);
  assert.equal(knownName(storage), "Ada");
  const blocked = (): Storage => {
    throw new DOMException("blocked", "SecurityError");
  };
  rememberName("Ada", blocked);
  assert.equal(knownName(blocked), "");
});
