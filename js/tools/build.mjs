// dist/: the modules with their types, and a minified bundle of each entry for pages without a build of their own.
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

const CODEC = /^export const (\w+) = (c\.struct<\w+>\([^{]*\{(?:\n(?: {2}.*\n)*)?\}\));\n/gm;

/** Put a codec that one other uses in its place, without a name of its own: that makes a bundle smaller. */
function inlined(text) {
  for (const [definition, name, codec] of text.matchAll(CODEC)) {
    const use = new RegExp(`\\b${name}\\b`, "g");
    if (text.match(use).length !== 2) continue;
    return inlined(text.replace(definition, "").replace(use, () => codec.replaceAll("\n", "\n  ")));
  }
  return text;
}

const ADDRESSED = ["session", "to", "from"].map((name) => `  ${name}: c.optional(c.text(128), ""),\n`).join("");

/** The codecs of the messages, as few bytes as they can be. */
function shortened(text) {
  const spread = text.replaceAll(ADDRESSED, "  ...addressed,\n");
  const whole = inlined(spread.replace("const MOST", `const addressed = {\n${ADDRESSED}};\nconst MOST`));
  return whole.replace(/\bc\.[a-z]\w*[<(]/g, "/*@__PURE__*/ $&"); // a bundle has those alone that it uses
}

/** Names of members that only adieu's own code uses: they are long for the reader, and short in a bundle. */
const INNER = `
  ackDue acked admit againAt agreeMedia aliveAt askClose askDrained askFresh askReset askWait attachMedia badFrames
  budgetLeft byId cancelTimer cannotConnect closeChannel closeStream closedError connectionGone connectionLost
  controlOpen controlOpened controlReceived countDelivered dataReceived described doubt drainUntil dropOne
  duplicates endByViolation endChannel excused finishMedia flightBytes forgetTimer giveTurn goneOn grantWait
  handleFrame handleLost handleOpen handlerAdded handlersOver hasRoom hasTimer heardClosed heardDone heardGone
  heardHello heldUntil helloBy hungry iceChanged iceFresh icePendingUntil introduced isAbrupt isAcknowledged
  isCloser isGone isTroubled largeEdge lastEpoch lastHeard lastRoom lastWordsOver leftUnread lent makeRoom mayLeave
  maySend mediaFinished mediaReceipts movedTo networkChanged newConnection nextId openChannel openStream peerNow
  pestered pollAction pollEvent pollOutput pollTimeout pollTransmit presenceChanged probePeer probeServer probed
  progressed queuedBytes raisedTo readerWaits receiptsKept reserve rewind roomCloses roomClosing saidClosed saidDone
  sayFile sayMedia sayMoved sendControl sendData signalReceived signaled signalingBroken signalingChanged
  socketEnded spokenOn stoodStill stopDraining streamClosed streamOpened stuck superseded suspected takeChannel
  takeEarly takenBeyond takenCost takenWith takesFiles tight tookEffect trackReceived unsentTotal usesMedia wakeIn
  wantsDescription watchProgress windowOf woke yielding
`
  .trim()
  .split(/\s+/);

/** Types of what the session machine and its shell say to each other; a recording has none of them. */
const TYPES =
  /"(Acknowledged|AskDrained|AskFresh|ChannelClosed|ChannelClosing|CloseStream|Connect|Ended|FileSaid|MediaSaid|OpenStream|PeerMoved|Probe|Progressed|Readable|Release|RestartIce|SendControl|SendData|Signal)"/g;

function shortType(_, type) {
  return `"${(10 + TYPES.source.split(/\W+/).indexOf(type)).toString(36)}"`;
}

/** The same code with short names for the inner ones. They may not be used outside of the folders of sessions. */
function renamed(code, id) {
  const short = (name) => (INNER.includes(name) ? `$${INNER.indexOf(name).toString(36)}` : name);
  const text = code.replace(/(?<![\w$"'])[a-z]\w+\b/g, short).replace(TYPES, shortType);
  if (text !== code && !/\/src\/(session|signaling)\//.test(id)) throw new Error(`${id} uses a member of a session`);
  return text;
}

/** Names of members that only goodbye's own modules use. */
const GOODBYE = /\b(messageAt|youngUntil|reliable|count|heard)\b/g;
const shortMember = (_, name) => `$${GOODBYE.source.indexOf(name).toString(36)}`;

/** Modules that are loaded when they are used are bundles of their own, beside the first. */
const BESIDE = {
  "machine/progress": "adieu-rtc.progress.min.js",
  "files/folders": "adieu-rtc.folders.min.js",
  recording: "adieu-rtc.recording.min.js",
  carrying: "adieu-rtc.carrying.min.js",
  "media-account": "adieu-rtc.media.min.js",
};
const LATER = {
  name: "later",
  resolveId(source, importer) {
    const module = Object.keys(BESIDE).find((name) => source.endsWith(`/${name}.js`));
    return importer && module ? { id: `./${BESIDE[module]}`, external: true } : undefined;
  },
};

const root = fileURLToPath(new URL("..", import.meta.url));
rmSync(`${root}dist`, { recursive: true, force: true });
execFileSync(`${root}node_modules/.bin/tsc`, ["-p", root], { stdio: "inherit" });
for (const [entry, file] of [
  ["index.ts", "adieu-rtc.min.js"],
  ...Object.entries(BESIDE).map(([module, file]) => [`session/${module}.ts`, file]),
  ["goodbye/index.ts", "goodbye.min.js"],
])
  await build({
    input: `${root}src/${entry}`,
    platform: "browser",
    resolve: { extensionAlias: { ".js": [".ts"] } },
    tsconfig: false, // what follows is for the bundles only
    treeshake: { propertyReadSideEffects: false }, // no getter here does more than answer
    optimization: { inlineConst: true },
    plugins: [
      { name: "codecs", transform: (code, id) => (id.endsWith("/messages.ts") ? shortened(code) : undefined) },
      ...(entry.startsWith("goodbye")
        ? [{ name: "members", transform: (code) => code.replace(GOODBYE, shortMember) }]
        : [{ name: "members", transform: renamed }, LATER]),
    ],
    transform: { target: "es2022", typescript: { removeClassFieldsWithoutInitializer: true } },
    output: {
      file: `${root}dist/${file}`,
      format: "esm",
      comments: { annotation: false },
      minify: { compress: { target: "es2022" } },
    },
  });
