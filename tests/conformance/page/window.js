// What a page has beside WebRTC: events, timers, Blob, a document that shows nothing. Plain JavaScript over `door`.
(function (shared) {
'use strict';
const {door} = shared;

function define(target, members) {
  for (const [name, value] of Object.entries(members))
    Object.defineProperty(target, name, {value, writable: true, enumerable: false, configurable: true});
}

// --- events ---

// What an object keeps to itself: type, target, … of an event; listeners and handlers of a target.
const slots = new WeakMap();
const slotsOf = (object) => {
  let found = slots.get(object);
  if (!found) slots.set(object, found = {});
  return found;
};

class Event {
  constructor(type, init = {}) {
    if (arguments.length < 1) throw new TypeError('an event needs a type');
    initEvent(this, `${type}`, init ?? {});
  }
  get type() { return slotsOf(this).type; }
  get target() { return slotsOf(this).target; }
  get srcElement() { return slotsOf(this).target; }
  get currentTarget() { return slotsOf(this).currentTarget; }
  get eventPhase() { return slotsOf(this).currentTarget ? 2 : 0; }
  get bubbles() { return slotsOf(this).bubbles; }
  get cancelable() { return slotsOf(this).cancelable; }
  get composed() { return slotsOf(this).composed; }
  get defaultPrevented() { return slotsOf(this).canceled; }
  get isTrusted() { return slotsOf(this).trusted; }
  get timeStamp() { return slotsOf(this).timeStamp; }
  preventDefault() { if (this.cancelable) slotsOf(this).canceled = true; }
  stopPropagation() {}
  stopImmediatePropagation() { slotsOf(this).stopped = true; }
  composedPath() { return this.target ? [this.target] : []; }
}

function initEvent(event, type, init, trusted = false) {
  Object.assign(slotsOf(event), {
    type, target: null, currentTarget: null, canceled: false, stopped: false, trusted, timeStamp: performance.now(),
    bubbles: !!init.bubbles, cancelable: !!init.cancelable, composed: !!init.composed,
  });
  return event;
}

function eventClass(name, ...attributes) {
  const Class = {[name]: class extends Event {
    constructor(type, init = {}) {
      super(type, init);
      for (const [attribute, otherwise] of attributes) slotsOf(this)[attribute] = init?.[attribute] ?? otherwise;
    }
  }}[name];
  for (const [attribute] of attributes)
    Object.defineProperty(Class.prototype, attribute,
      {get() { return slotsOf(this)[attribute]; }, enumerable: true, configurable: true});
  return Class;
}
const MessageEvent = eventClass('MessageEvent', ['data', null], ['origin', ''], ['lastEventId', ''], ['source', null]);
const ErrorEvent = eventClass('ErrorEvent', ['error'], ['message', ''], ['filename', ''], ['lineno', 0], ['colno', 0]);
const CustomEvent = eventClass('CustomEvent', ['detail', null]);

class EventTarget {
  addEventListener(type, callback, options) {
    const target = this ?? globalThis;
    if (callback === null || callback === undefined) return;
    if (typeof callback !== 'function' && typeof callback !== 'object') throw new TypeError('not a listener');
    const list = listenersOf(target, `${type}`);
    if (list.some((listener) => listener.callback === callback && !listener.attribute)) return;
    const once = typeof options === 'object' && options !== null && !!options.once;
    add(target, `${type}`, {callback, once});
  }
  removeEventListener(type, callback) {
    const list = listenersOf(this ?? globalThis, `${type}`);
    const found = list.find((listener) => listener.callback === callback && !listener.attribute);
    if (found) remove(list, found);
  }
  dispatchEvent(event) {
    if (!(event instanceof Event)) throw new TypeError('not an event');
    const target = this ?? globalThis;
    for (const listener of begin(target, event)) enter(target, event, listener);
    slotsOf(event).currentTarget = null;
    return !event.defaultPrevented;
  }
}

function listenersOf(target, type) {
  const own = slotsOf(target);
  own.listeners ??= new Map();
  if (!own.listeners.has(type)) own.listeners.set(type, []);
  return own.listeners.get(type);
}

function add(target, type, listener) {
  listenersOf(target, type).push(listener);
  slotsOf(target).listen?.(type);  // an object of Python's: from now on its events come here
}

function remove(list, listener) {
  listener.removed = true;
  list.splice(list.indexOf(listener), 1);
}

// The listeners of this moment; each is entered by `enter`.
function begin(target, event) {
  Object.assign(slotsOf(event), {target, currentTarget: target});
  return [...listenersOf(target, event.type)];
}

function enter(target, event, listener) {
  if (listener.removed || slotsOf(event).stopped) return;
  if (listener.once) remove(listenersOf(target, event.type), listener);
  try {
    const {callback} = listener;
    if (typeof callback === 'function') callback.call(target, event);
    else callback.handleEvent(event);
  } catch (error) {
    report(error);
  }
}

// https://html.spec.whatwg.org/#report-the-exception
function report(error) {
  door('log', 'error', `${error} ${error?.stack ?? ''}`);
  globalThis.dispatchEvent(new ErrorEvent('error', {error, message: `Uncaught ${error}`, cancelable: true}));
}

// https://html.spec.whatwg.org/#event-handler-idl-attributes
function getHandler(target, type) {
  return slotsOf(target).handlers?.get(type)?.callback ?? null;
}
function setHandler(target, type, value) {
  const own = slotsOf(target);
  own.handlers ??= new Map();
  const callback = typeof value === 'function' || (typeof value === 'object' && value !== null) ? value : null;
  const listener = own.handlers.get(type);
  if (callback === null) {
    if (listener) remove(listenersOf(target, type), listener);
    own.handlers.delete(type);
  } else if (listener) {
    listener.callback = callback;
  } else {
    const made = {callback, attribute: true};
    own.handlers.set(type, made);
    add(target, type, made);
  }
}
function handlerAttributes(prototype, ...types) {
  for (const type of types)
    Object.defineProperty(prototype, `on${type}`, {
      get() { return getHandler(this ?? globalThis, type); },
      set(value) { setHandler(this ?? globalThis, type, value); },
      enumerable: true, configurable: true,
    });
}

// --- Blob ---

const encoder = {encode: (text) => Uint8Array.fromBase64(door('utf8', `${text}`.toWellFormed()))};
const decode = (bytes) => door('text', bytes.toBase64());

class Blob {
  constructor(parts = [], options = {}) {
    const pieces = [...parts].map((part) =>
      part instanceof Blob ? bytesOf(part)
      : part instanceof ArrayBuffer ? new Uint8Array(part.slice(0))
      : ArrayBuffer.isView(part) ? new Uint8Array(part.buffer, part.byteOffset, part.byteLength)
      : encoder.encode(part));
    const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of pieces) { bytes.set(piece, at); at += piece.length; }
    Object.assign(slotsOf(this), {bytes, type: `${options?.type ?? ''}`});
  }
  get size() { return bytesOf(this).length; }
  get type() { return slotsOf(this).type; }
  async arrayBuffer() { return bytesOf(this).slice().buffer; }
  async text() { return decode(bytesOf(this)); }
}
const bytesOf = (blob) => slotsOf(blob).bytes;

class FileReader extends EventTarget {
  result = null;
  error = null;
  #read(blob, convert) {
    setTimeout(() => {
      this.result = convert(bytesOf(blob));
      this.dispatchEvent(new Event('load'));
      this.dispatchEvent(new Event('loadend'));
    });
  }
  readAsArrayBuffer(blob) { this.#read(blob, (bytes) => bytes.slice().buffer); }
  readAsText(blob) { this.#read(blob, decode); }
}
handlerAttributes(FileReader.prototype, 'load', 'loadend', 'error');

// --- timers ---

const timers = new Map();
let lastTimer = 0;
function startTimer(callback, ms, args, repeat) {
  const id = ++lastTimer;
  timers.set(id, {callback, ms: Math.max(Number(ms) || 0, 0), args, repeat});
  door('timer', id, timers.get(id).ms);
  return id;
}
function stopTimer(id) {
  if (timers.delete(id)) door('clear', id);
}
shared.timer = (id) => {
  const timer = timers.get(id);
  if (!timer) return;
  if (timer.repeat) door('timer', id, timer.ms);
  else timers.delete(id);
  try {
    timer.callback.apply(globalThis, timer.args);
  } catch (error) {
    report(error);
  }
};

// --- the document ---

let lastElement = 0;

class HTMLElement extends EventTarget {
  constructor(name = 'div') { super(); this.localName = name; this.style = {}; this.children = []; }
  append(...nodes) { nodes.forEach((node) => this.appendChild(node)); }
  appendChild(node) { this.children.push(node); node.inserted?.(); return node; }
  removeChild(node) { this.children = this.children.filter((child) => child !== node); return node; }
  remove() {}
  setAttribute(name, value) { this[name] = value; }
}
// It plays a stream as soon as each of its tracks has given something (elements.py); nothing is heard or seen.
class HTMLMediaElement extends HTMLElement {
  #stream = null;
  #number = ++lastElement;
  #playing = Promise.withResolvers();
  muted = false;
  videoWidth = 0;
  videoHeight = 0;
  readyState = 0;
  paused = false;
  #began = 0;
  get srcObject() { return this.#stream; }
  set srcObject(stream) {
    this.#stream = stream;
    this.readyState = 0;
    players.set(this.#number, this);
    door('play', this.#number, stream === null ? 0 : slotsOf(stream).handle);
  }
  get currentTime() { return this.readyState ? (performance.now() - this.#began) / 1000 : 0; }
  begin(width, height) {
    Object.assign(this, {readyState: 4, videoWidth: width, videoHeight: height});
    this.#began = performance.now();
    for (const type of ['loadedmetadata', 'loadeddata', 'canplay', 'playing', 'timeupdate'])
      this.dispatchEvent(new Event(type));
    this.#playing.resolve();
  }
  play() { return this.#playing.promise; }
  pause() {}
}
const players = new Map();
shared.playing = (number, width, height) => players.get(number)?.begin(width, height);
handlerAttributes(HTMLMediaElement.prototype,
  'loadedmetadata', 'loadeddata', 'canplay', 'playing', 'resize', 'timeupdate', 'error');
class HTMLVideoElement extends HTMLMediaElement {}
class HTMLAudioElement extends HTMLMediaElement {}
class HTMLCanvasElement extends HTMLElement {}

// A page in a page: a window of its own for the scripts of `srcdoc`, over the same global objects.
class HTMLIFrameElement extends HTMLElement {
  #connections = [];
  srcdoc = '';
  contentWindow = null;
  inserted() {
    this.contentWindow = new FrameWindow();
    setTimeout(() => {
      for (const [, script] of this.srcdoc.matchAll(/<script>([^]*?)<\/script>/g)) this.#run(script);
      this.dispatchEvent(new Event('load'));
    });
  }
  remove() {
    if (this.contentWindow) this.contentWindow.isGone = true;
    for (const connection of this.#connections.splice(0)) connection.close();
  }
  #run(script) {
    const connections = this.#connections;
    class Connection extends RTCPeerConnection {
      constructor(...args) { super(...args); connections.push(this); }
    }
    try {
      new Function('window', 'RTCPeerConnection', script)(this.contentWindow, Connection);
    } catch (error) {
      report(error);
    }
  }
}
class FrameWindow extends EventTarget {
  parent = globalThis;
  isGone = false;  // its scripts run no longer
  postMessage(data) { post(this, data); }
}
// https://html.spec.whatwg.org/#window-post-message-steps, for what JSON can say
function post(target, data) {
  const text = JSON.stringify(data);
  setTimeout(() => target.isGone || target.dispatchEvent(new MessageEvent('message', {data: JSON.parse(text)})));
}
handlerAttributes(HTMLIFrameElement.prototype, 'load');
handlerAttributes(FrameWindow.prototype, 'message');

const elements = {video: HTMLVideoElement, audio: HTMLAudioElement, canvas: HTMLCanvasElement, iframe: HTMLIFrameElement};
const createElement = (name) => new (elements[name] ?? HTMLElement)(name);

class Document extends EventTarget {}
const document = new Document();
shared.load = ({title, metas, ids, path}) => {
  const found = {
    title: [{firstChild: {data: title}, textContent: title}],
    meta: metas.map(([name, content]) => ({name, content, getAttribute: (key) => ({name, content})[key] ?? null})),
  };
  const byId = new Map(ids.map(([id, name]) => [id, createElement(name)]));
  Object.assign(document, {
    title, createElement, readyState: 'loading', visibilityState: 'visible', hidden: false, defaultView: globalThis,
    body: createElement('body'), head: createElement('head'), documentElement: createElement('html'),
    getElementsByTagName: (name) => found[name] ?? [],
    getElementById: (id) => byId.get(id) ?? null,
    querySelector: () => null,
    querySelectorAll: (name) => [...byId.values()].filter((element) => element.localName === name),
  });
  for (const [id, element] of byId) if (!(id in globalThis)) define(globalThis, {[id]: element});
  const href = `https://web-platform.test:8443/${path}`;
  define(globalThis, {location: {
    href, origin: 'https://web-platform.test:8443', protocol: 'https:', host: 'web-platform.test:8443',
    hostname: 'web-platform.test', port: '8443', pathname: `/${path}`, search: '', hash: '', toString: () => href,
  }});
};
shared.loaded = () => {
  document.readyState = 'complete';
  document.dispatchEvent(new Event('DOMContentLoaded'));
  globalThis.dispatchEvent(new Event('load'));
};

// --- the global object ---

class Window extends EventTarget {}
class Navigator {}
Object.setPrototypeOf(globalThis, Window.prototype);
handlerAttributes(Window.prototype, 'error', 'load', 'message', 'unhandledrejection');
const began = door('time') * 1000, clockAtBegin = door('now');
const performance = {now: () => (door('now') - clockAtBegin) * 1000, timeOrigin: began};

// As much of Web Audio as a source of sound needs. There is no MediaStreamAudioDestinationNode and no captureStream(),
// so that pages which only want some stream ask mediaDevices for one.
class AudioContext {
  createOscillator() { return {connect: (node) => node, start() {}, stop() {}}; }
  createMediaStreamDestination() { return {stream: new MediaStream([shared.generated('audio')])}; }
  close() {}
}

async function fetch(url) {
  const text = door('read', `${url}`);
  return {ok: text !== null, status: text === null ? 404 : 200, text: async () => text, json: async () => JSON.parse(text)};
}

define(globalThis, {
  window: globalThis, self: globalThis, parent: globalThis, top: globalThis, opener: null, frames: globalThis,
  document, navigator: new Navigator(), performance, isSecureContext: true, origin: 'https://web-platform.test:8443',
  Window, Navigator, Document, Event, MessageEvent, ErrorEvent, CustomEvent, EventTarget, Blob, FileReader,
  HTMLElement, HTMLMediaElement, HTMLVideoElement, HTMLAudioElement, HTMLCanvasElement, HTMLIFrameElement, AudioContext,
  fetch, postMessage: (data) => post(globalThis, data),
  setTimeout: (callback, ms, ...args) => startTimer(callback, ms, args, false),
  setInterval: (callback, ms, ...args) => startTimer(callback, ms, args, true),
  clearTimeout: stopTimer, clearInterval: stopTimer,
  requestAnimationFrame: (callback) => startTimer(callback, 16, [performance.now()], false),
  cancelAnimationFrame: stopTimer,
  TextEncoder: class TextEncoder { encode(text = '') { return encoder.encode(text); } },
  TextDecoder: class TextDecoder { decode(data) { return decode(new Uint8Array(data.buffer ?? data)); } },
  TestUtils: {gc: async () => { door('gc'); await new Promise((resolve) => setTimeout(resolve)); }},
  // The permissions of a page that has been granted everything.
  test_driver: {set_permission: async () => {}, bless: async (_, action) => action?.()},
  console: Object.fromEntries(['log', 'info', 'warn', 'error', 'debug', 'assert'].map(
    (level) => [level, (...args) => door('log', level, args.map(String).join(' '))])),
});

Object.assign(shared, {define, slotsOf, initEvent, begin, enter, report, getHandler, setHandler, bytesOf});
})(globalThis.shared);
