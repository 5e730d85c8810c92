/**
 * The texts of the page in English. The other languages have the same keys, one file each.
 *
 * `name` is the name of a peer, short enough for a line; it is empty if the peer has no name.
 */

import { grammar } from "./grammar.js";

const { count, form, list, number } = grammar("en-GB");
const who = (name: string) => name || "The other side";
const whom = (name: string) => name || "the other side";
const stop = (text: string) => (text.endsWith("…") ? text : `${text}.`);
const isAre = (number: number) => form(number, "is", "are");
const wasWere = (number: number) => form(number, "was", "were");
const devices = { audio: "microphone", video: "camera" };
type Device = keyof typeof devices;

export const en = {
  /** The name of the language, and its tag for numbers, lists and the attribute `lang`. */
  language: { own: "English", tag: "en-GB", choose: "Language" },

  number,
  list,
  percent: (part: number) => `${number(Math.floor(100 * part))} %`,
  units: ["bytes", "kB", "MB", "GB", "TB"],
  milliseconds: (value: number) => `${number(value)} ms`,
  seconds: (value: number, digits: number) => `${number(value, digits)} seconds`,
  duration: {
    second: (value: number) => count(value, "second", "seconds"),
    minute: (value: number) => count(value, "minute", "minutes"),
    hour: (value: number) => count(value, "hour", "hours"),
  },
  left: (duration: string) => `${duration} left`,
  atMost: (left: string) => `${left} at most`,

  start: {
    title: "Meet, talk, and part properly",
    lead: "Camera, chat and files go straight from browser to browser. When you say goodbye, everything that was on its way arrives first, and both of you hold the same receipt.",
    start: "Start a conversation",
    given: "Or enter a room or link you were given",
    go: "Go there",
  },

  enter: {
    title: "Come in",
    room: "Room",
    name: "Your name, as the others see it",
    key: "Your key for this server",
    bring: "Bring along",
    without: "Chat and files work without them.",
    enter: "Come in",
    entering: "Coming in …",
    addresses: "Computers in a room connect directly, so they learn each other’s network address.",
    elsewhere: "You are in this room already, in another tab.",
    here: "Go on here, leave there",
    twice: "Be here twice",
    look: "See and hear yourself first",
    picture: "Your picture, as in a mirror",
    noPicture: "Your camera is off.",
    level: "Loudness of your microphone",
    levelHint: "Speak: the bar moves if your microphone hears you.",
    test: "Play a sound",
  },

  devices: {
    audio: "Microphone",
    video: "Camera",
    speaker: "Speaker",
    browsers: "Choice of the browser",
    numbered: (kind: "audio" | "video" | "speaker", number: number) =>
      `${{ audio: "Microphone", video: "Camera", speaker: "Speaker" }[kind]} ${number}`,
    notFound: { audio: "No microphone was found.", video: "No camera was found." },
    title: "Camera, microphone and speaker",
    asking: "Asking …",
    denied: (kinds: readonly Device[]) => {
      const [those, it] = named(kinds);
      return `Your browser blocks your ${those} on this page. Allow ${it} in the address bar, then turn ${it} on again.`;
    },
    missing: (kinds: readonly Device[]) => {
      const [, it, one] = named(kinds);
      const those = kinds.map((kind) => devices[kind]).join(" and no ");
      return `No ${those} was found. Connect ${one}, then turn ${it} on. Everything else works without ${it}.`;
    },
    busy: (kinds: readonly Device[]) => {
      const [those, it] = named(kinds);
      return `Another program uses your ${those}. Close it, then turn ${it} on again.`;
    },
    kept: (kinds: readonly Device[]) =>
      `The chosen ${named(kinds)[0]} cannot be used. Your earlier choice stays in use.`,
    unplugged: (kinds: readonly Device[]) => {
      const [those, it] = named(kinds);
      const [are, was] = kinds.length === 1 ? ["is", "Was it"] : ["are", "Were they"];
      return `Your ${those} ${are} gone. ${was} unplugged? Connect ${it}, then turn ${it} on again.`;
    },
    blocked: (kinds: readonly Device[]) =>
      `Your browser allows no ${named(kinds)[0]} on a page without TLS (https). Chat and files work.`,
  },

  people: {
    you: "You",
    own: (name: string) => `${name} (you)`,
    nameless: "Somebody without a name",
    somebody: "somebody",
    picture: (label: string) => `Picture of ${label}`,
    shows: (name: string) => `${name} shows this`,
    hear: (name: string) => `Let me hear ${name}`,
    silent: ", silent",
    noPicture: ", without a picture",
    move: "Move your picture",
    moveHint: "The arrow keys move it.",
    places: {
      "top left": "Your picture is at the top left.",
      "top right": "Your picture is at the top right.",
      "bottom left": "Your picture is at the bottom left.",
      "bottom right": "Your picture is at the bottom right.",
    },
    place: (place: number, all: number) => `Your picture is number ${number(place)} of ${number(all)}.`,
  },

  state: {
    connecting: (name: string) => `${who(name)} is here, connecting …`,
    open: (name: string) => `Connected with ${stop(whom(name))}`,
    resetting: (name: string) => `Renewing the connection with ${whom(name)} …`,
    closing: (name: string) => `Saying goodbye to ${whom(name)} …`,
    closed: (name: string) => `${who(name)} is gone.`,
    quiet: (name: string, lasts: string) => `${who(name)} has not answered for ${lasts || "a moment"} …`,
    soFar: (text: string, lasts: string) => `${text} (${lasts} so far)`,
    unreachable: (name: string) => `${who(name)} can’t be reached, trying again …`,
    trouble: {
      "network-lost": (name: string) => `${who(name)}’s network dropped, trying again …`,
      frozen: (name: string) => `${who(name)}’s program does not respond, waiting for it …`,
      crashed: (name: string) => `${who(name)}’s program ended without a word. Waiting in case it returns …`,
      busy: (name: string) => `${who(name)}’s program is busy, waiting for it …`,
      reloaded: (name: string) => `${who(name)} loaded the page again, waiting for it …`,
    },
    offline: "You are offline. Trying again as soon as your network is back …",
    ownNetwork: "Your network dropped, trying again …",
    connected: (names: readonly string[]) => `Connected with ${stop(list(names))}`,
    coming: (names: readonly string[]) => `${list(names)} ${isAre(names.length)} here, connecting …`,
    apart: (names: readonly string[]) => `${list(names)} ${isAre(names.length)} here, not connected to you.`,
    server: "The server does not answer, so nobody new can join. Trying again …",
    alone: "Nobody else is here yet.",
    leaving: "Leaving …",
    goodbye: (names: readonly string[], going: string) =>
      going ? `Saying goodbye to ${list(names)}: ${going} under way …` : `Saying goodbye to ${list(names)} …`,
    renewing: (going: string) =>
      going ? `Renewing the connection: ${going} under way …` : "Renewing the connection …",
    underWay: {
      messages: (number: number) => count(number, "message", "messages"),
      files: (number: number) => count(number, "more file", "more files"),
      incoming: (value: number) => `${number(value)} from the other side`,
    },
  },

  connection: {
    title: "Connections",
    unknown: "Not measured yet.",
    alone: "Nobody is connected.",
    direct: "Direct",
    relay: "By a relay, as no direct way works",
    trip: (duration: string) => `${duration} there and back`,
    lossless: "nothing is lost",
    lost: (part: string) => `${part} of the packets are lost`,
    slow: (duration: string) => `Slow connection: ${duration} there and back`,
    lossy: (part: string) => `Weak connection: ${part} of the packets are lost`,
    byRelay: (text: string) => `${text}. A relay passes everything on.`,
  },

  call: {
    room: "Room",
    people: "People",
    chat: "Chat",
    news: (number: number) => `Chat (${number} new)`,
    drop: "Let go to send",
    apart: "Here, not connected to you",
    again: (name: string) => `Connecting with ${name} is tried again by itself.`,
    trying: "Trying …",
    tryAgain: "Try again",
    with: (name: string) => `with ${name}`,
    controls: "Controls",
    buttons: "Call",
    close: "Close",
    reset: "Reset",
    resetHint: "Make a new connection, or request camera and microphone again. No message and no file is lost.",
    renewing: "Renewing …",
    leave: "Leave",
    leaving: "Leaving …",
    later: "You leave when it has arrived.",
    leaveLater: "Leave when it has arrived",
    leaveNow: "Leave now; it can go on later",
    nothingUnder: "Nothing is under way any longer.",
    stay: "Stay",
    closeForAll: "Close the room for everybody",
    closeForAllAsked: "Close the room for everybody? Everybody leaves it now; messages on their way still arrive.",
    closeForAllNow: "Close it for everybody",
    notClosed: (why: string) => `The room was not closed: ${why}`,
    what: "Renew what? No message and no file is lost.",
    whose: "With",
    everybody: "everybody",
    connection: "Connection",
    devices: "Devices",
    everything: "Everything",
    cancel: "Cancel",
    share: "Share screen",
    sharing: "Stop sharing",
    shared: "The others see your screen.",
    more: "More",
    notification: (room: string) => `Room ${room} – adieu`,
    says: (name: string, text: string) => `${name}: ${text}`,
    sends: (name: string, file: string) => `${name} sends you ${file}.`,
    floating: "Picture in picture",
    sentAway: (why: string) => `The server has removed you from the room (${why}). Open connections stay open.`,
    sentOut: "you were sent out",
    cameIn: (name: string) => `${name} came in.`,
    renewed: (name: string) => `${name} renewed the connection.`,
    resetFailed: (why: string) => `The reset failed: ${why}`,
    isNew: (names: readonly string[], took: string) =>
      `The connection with ${list(names)} is new, after ${took}. Nothing was lost.`,
    devicesAgain: "Your devices were requested again.",
    nothingToRenew: "There is no connection to renew: nobody else is here.",
    noScreen: (why: string) => `Your screen is not shared: ${why}`,
  },

  settings: {
    title: "Settings",
    notifications: "Show a notification when something happens here while I am elsewhere",
    notificationsRefused: "Your browser shows no notifications of this page. Allow them in the address bar.",
  },

  keys: {
    title: "Keyboard",
    microphone: "Microphone on or off",
    camera: "Camera on or off",
    screen: "Share the screen, or stop",
    floating: "Picture in picture",
    chat: "Write a message",
    reset: "Reset",
    more: "More",
    leave: "Leave",
    list: "This list",
    move: "Move your picture, once it has the focus",
    on: "Single letters do this",
  },

  chat: {
    conversation: "Conversation",
    log: "Chat and files",
    empty: "Your messages go straight to the others; no server keeps them.",
    message: "Message",
    placeholder: "Write a message",
    send: "Send",
    sendFile: "Send a file",
    files: "Files to send",
    nobody: "Nobody is here to read it yet. Your text stays in the box.",
    nobodyTakes: "Nobody is here to take a file yet.",
    owed: (number: number, name: string) =>
      `${count(number, "message", "messages")} from before did not reach ${name}.`,
    sendOwed: (number: number) => `Send the ${count(number, "unsent message", "unsent messages")} again`,
    notDelivered: (names: readonly string[]) => `Not delivered to ${list(names)}`,
    sending: "Sending …",
    delivered: "Delivered",
    noText: (bytes: number) => `(${count(bytes, "byte that is", "bytes that are")} no text)`,
    unreadable: "A folder could not be read.",
  },

  file: {
    to: (name: string) => `You, to ${name}`,
    progress: (name: string) => `${name}, how much is there`,
    of: (done: string, size: string) => `${done} of ${size}`,
    asked: (size: string) => `Larger than usual: ${size}. Do you want it?`,
    declined: "You did not want it.",
    waiting: (name: string) => `Waiting for ${name} …`,
    delivered: "Delivered",
    here: "It is here",
    failed: (why: string) => `Not delivered: ${why}`,
    cancel: "Cancel",
    again: "Send again",
    later: (name: string) => `It can be sent again when ${name} is back.`,
    take: "Take it",
    refuse: "No, thanks",
    save: "Save",
    toDisk: "Save to the disk …",
    onDisk: "It is on your disk",
    out: (name: string, part: string) => `${name} is ${part} there.`,
    in: (name: string, part: string) => `${name} is ${part} here.`,
    why: {
      unwanted: "they do not want it",
      tooLarge: "it is too large for a browser",
      withdrawn: "the offer was withdrawn",
      cancelled: "it was cancelled",
      ended: "the connection ended",
    },
  },

  invite: {
    title: "Give this link to somebody",
    link: "Link to this room",
    copy: "Copy link",
    copied: "The link is copied.",
    mark: "Copy the marked link.",
    address: "Copy the address of this page.",
    share: "Share …",
    shareText: "Come and talk to me",
    code: "QR code of the link",
    showCode: "QR code",
    network: "This address works on devices in your network.",
    plain: "There, camera and microphone need TLS (https). Chat and files work without it.",
    local: "This address works on this computer only: open it in a second tab.",
  },

  end: {
    title: "Adieu",
    alone: "You have left the room; nobody else was there.",
    closed: "The room was closed for everybody.",
    off: "Your camera and microphone are off, and every connection is closed.",
    sendOwed: (number: number) => `Go back and send the ${count(number, "unsent message", "unsent messages")} again`,
    again: "Come in again",
    new: "New conversation",
    everything: "Everything was delivered, and both sides know it.",
    everythingStrict: "Everything that must not be lost was delivered, and both sides know it.",
    kept: "Some of your messages may not have arrived. They are kept in this tab.",
    theirsLost: "All your messages were delivered, but some of their messages did not arrive.",
    theirsUnknown: "All your messages were delivered. Some of their messages may not have arrived.",
    fileNotWhole: (name: string) => `${name} is not whole; it can go on when you meet again.`,
    filesNotWhole: (number: number) => `${number} files are not whole; they can go on when you meet again.`,
    unreadThere: (value: number) => `${number(value)} of your messages ${wasWere(value)} not read yet.`,
    unreadHere: (value: number) => `You have not read ${number(value)} of their messages yet.`,
  },

  receipt: {
    title: "Receipt",
    confirmed: "The other side holds the same receipt, with the same numbers.",
    unconfirmed: "The other side’s report is missing, so uncertain messages count as unknown.",
    delivered: (name: string, size: string) => `${name}, ${size}: delivered`,
    received: (name: string, size: string) => `${name}, ${size}: received`,
    partSent: (name: string, size: string, part: string) => `${name}, ${size}: ${part} sent`,
    partReceived: (name: string, size: string, part: string) => `${name}, ${size}: ${part} received`,
    number: "Number",
    save: "Save the receipt",
    saveRecording: "Save the recording",
    table: "Messages sent and received",
    messages: "Messages",
    pieces: "pieces of files",
    lines: ["Sent", "Arrived", "Not read by them", "Unknown", "Unsent", "Received", "Not read by you"],
    steps: {
      announce: "Said goodbye",
      drain: "Waited until everything had arrived",
      channels: "Closed the channels",
      connection: "Closed the connection",
      "clean-up": "Released everything",
    },
    step: (name: string, outcome: string) => `${name}: ${outcome}`,
    outcomes: { deadline: "the time was over", abrupt: "at once", skipped: "not needed" },
  },

  /** How a session ended. The SDK's `notice` says the same in English. `why` is the reason that a person gave. */
  ending: {
    by: {
      left: (name: string) => `${who(name)} left`,
      "tab-closed": (name: string) => `${who(name)} closed the tab`,
      reloaded: (name: string) => `${who(name)} reloaded the page`,
      navigated: (name: string) => `${who(name)} went to another page`,
      kicked: (name: string) => `${who(name)} was removed from the room`,
      replaced: (name: string) => `${who(name)} joined from somewhere else`,
      crashed: (name: string) => `${who(name)}'s program ended without a word`,
      "connection-closed": (name: string) => `${who(name)} closed the connection`,
      "server-shutdown": (_: string) => "The server was shut down",
      "room-closed": (_: string) => "The room was closed for everybody",
      "protocol-error": (name: string) => `${who(name)}'s program sent an invalid message`,
      "security-error": (name: string) => `${who(name)} could not prove who they are`,
      busy: (name: string) => `${who(name)}'s program does not answer`,
      "network-lost": (name: string) => `${who(name)}'s network was lost`,
      frozen: (name: string) => `${who(name)}'s program was stopped`,
      "frozen, network-lost": (name: string) => `${who(name)} could no longer be reached`,
      "gave-up": (name: string) => `${who(name)} could not be reached`,
    },
    why: (text: string, why: string) => `${text} (${why})`,
    both: (name: string) => (name ? `You and ${name} left at the same time` : "Both sides left at the same time"),
    endedHere: (name: string, why: string) => `The connection to ${who(name)} was ended: ${why}`,
    closedHere: (name: string) => `The connection to ${who(name)} was closed by this page`,
    noConnection: (name: string, why: string) => `No connection to ${who(name)} could be made: ${why}`,
    youLeft: (name: string) => `You left ${name}`.trimEnd(),
    suspended: (name: string) => `This page was suspended, and the connection to ${who(name)} was lost`,
    unheard: (name: string) => `${who(name)} no longer heard this side, and gave up`,
    unsent: (value: number) => `${value} of your messages ${wasWere(value)} not sent`,
    unknown: (value: number) => `${value} of your messages may not have arrived`,
    missing: (value: number) => `${value} of their messages did not arrive`,
    and: (one: string, other: string) => `${one} and ${other}`,
    filesNotSent: (value: number) => `${value} files were not sent whole`,
    filesNotHere: (value: number) => `${value} files did not arrive whole`,
    fileNotSent: (part: number, name: string) => `${part} % of ${name} was sent`,
    fileNotHere: (part: number, name: string) => `${part} % of ${name} arrived`,
    delivered: (value: number) => `${value} of your messages ${wasWere(value)} delivered`,
    unread: (value: number) => `${value} of them ${wasWere(value)} not read yet`,
    allDelivered: "all your messages were delivered",
    strictDelivered: "everything that must not be lost was delivered",
    everythingDelivered: "everything was delivered",
    fileDelivered: (name: string) => `the file ${name} was delivered`,
    filesDelivered: (value: number) => `${value} files were delivered`,
    unreadHere: (value: number) => `${value} of their messages ${wasWere(value)} not read yet`,
    reasons: {
      elsewhere: "went on in another tab",
    },
  },

  join: {
    unauthorized: "This server asks for a key. Ask the person who invited you for it.",
    denied: "Your key does not open this room. Ask the person who invited you for another key.",
    full: "The room or the server is full at the moment. Try again later.",
    away: "The server does not answer. Check that it is running and that you are online, then try again.",
    other: (why: string) => `The server refused: ${why}.`,
  },

  receive: {
    here: "Everything is here",
    title: "Files for you",
    files: (number: number, size: string) => `${count(number, "file", "files")}, ${size}`,
    more: (number: number) => `and ${count(number, "more file", "more files")}`,
    receive: "Receive",
    looking: "Looking for the sender …",
    lost: (why: string) => `${why} Waiting for the sender …`,
    again: "Try again",
    same: "Both sides hold the same receipt.",
    saveAll: "Save all as a ZIP file",
    keep: "The files are in this page until you close it: save them first.",
    direct:
      "The files come directly from the sender’s computer, so both learn each other’s network address. Nothing comes before both have proved that they know this link.",
    progress: "How much is here",
    speed: (rate: string, left: string) => `, ${rate} a second, ${left}`,
    save: "Save",
    notConfirmed: (why: string) => `The files arrived, but the end was not confirmed: ${why}`,
    why: {
      wrongLink: "the link was wrong, or somebody is between the two computers: nothing was sent",
      refused: "the sender says that the link was wrong",
      outOfTurn: "the sender said something out of turn",
      notUnderstood: "the sender said something that this page does not understand",
      late: (patience: number) => `the sender did not answer within ${patience} s`,
      tooMany: (most: number) => `the sender's list has more than ${most} entries`,
      tooLarge: (name: string) => `${name} is too large for a browser: take \`adieu receive\``,
      otherHashes: "the sender's list of hashes differs from this one",
      filesMissing: "the sender says that all is sent, but files are missing",
      ended: "the session ended",
      busy: "the sender is there, but serves others; try again later",
      nobody: "no sender came: is its program still running?",
      notInList: "not in the list",
    },
  },
};

/** Return the devices, and the pronouns of them. */
function named(kinds: readonly Device[]): [those: string, it: string, one: string] {
  const those = list(kinds.map((kind) => devices[kind]));
  return kinds.length === 1 ? [those, "it", "one"] : [those, "them", "them"];
}

export type Texts = typeof en;
