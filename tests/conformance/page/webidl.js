// The JavaScript classes of Web IDL files, over objects of Python. https://webidl.spec.whatwg.org/#javascript-binding
//
// Values are converted here, once in each direction; what a member does is Python's. Across the door go JSON and:
//   {$h: handle, $i: interface}  an object      {$b: base64}  bytes      {$n: text}  a number JSON has not
//   {$f: id}  a function
(function (shared) {
'use strict';
const {door, define, slotsOf, initEvent, begin, enter, getHandler, setHandler, bytesOf} = shared;
const {idl, lenient} = shared.options;

// --- what the files say: partials and mixins are merged by who wrote the table ---

const {interfaces, dictionaries, enums, typedefs, callbacks} = idl;
const PLATFORM = {Event, EventTarget, DOMException, Blob};
const classes = Object.assign(Object.create(null), PLATFORM);

// --- from JavaScript ---

const INTEGERS = {
  'octet': [0, 2 ** 8 - 1], 'byte': [-(2 ** 7), 2 ** 7 - 1],
  'unsigned short': [0, 2 ** 16 - 1], 'short': [-(2 ** 15), 2 ** 15 - 1],
  'unsigned long': [0, 2 ** 32 - 1], 'long': [-(2 ** 31), 2 ** 31 - 1],
  'unsigned long long': [0, Number.MAX_SAFE_INTEGER], 'long long': [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
};

function integer(value, name, attributes) {
  const [low, high] = INTEGERS[name];
  const number = Number(value);
  if (lenient) return outNumber(number);
  if (attributes.includes('EnforceRange')) {
    if (!Number.isFinite(number) || Math.trunc(number) < low || Math.trunc(number) > high)
      throw new TypeError(`${number} is not from ${low} to ${high}`);
    return Math.trunc(number) + 0;
  }
  if (attributes.includes('Clamp')) return Math.min(Math.max(Math.round(number) || 0, low), high);
  if (!Number.isFinite(number)) return 0;
  const range = high - low + 1;
  let wrapped = Math.trunc(number) % range;
  if (wrapped < low) wrapped += range;
  if (wrapped > high) wrapped -= range;
  return wrapped + 0;
}

function outNumber(number) {
  return Number.isFinite(number) ? number : {$n: String(number)};
}

const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function';
const isBuffer = (value) => value instanceof ArrayBuffer || ArrayBuffer.isView(value);
const isInstance = (value, name) => isObject(value) && !!slotsOf(value).interfaces?.includes(name);

function outBytes(data) {
  const bytes = data instanceof Blob ? bytesOf(data)
    : data instanceof ArrayBuffer ? new Uint8Array(data)
    : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return {$b: bytes.toBase64()};
}

// A value as `type` asks, ready for the door.
function out(value, type, attributes = []) {
  attributes = [...attributes, ...(type.attributes ?? [])];
  if (type.nullable && (value === null || value === undefined)) return null;
  if (type.union) return out(value, pick(value, type), attributes);
  if (type.generic === 'sequence' || type.generic === 'FrozenArray') {
    if (!isObject(value) || typeof value[Symbol.iterator] !== 'function') throw new TypeError('not a sequence');
    return Array.from(value, (item) => out(item, type.of[0], attributes));
  }
  const {name} = type;
  if (typedefs[name]) return out(value, {...typedefs[name], nullable: false}, attributes);
  if (name in INTEGERS) return integer(value, name, attributes);
  if (enums[name]) {
    const text = `${value}`;
    if (!lenient && !enums[name].includes(text)) throw new TypeError(`${JSON.stringify(text)} is no ${name}`);
    return text;
  }
  if (dictionaries[name]) return outDictionary(value, name);
  if (callbacks.includes(name)) {
    if (typeof value !== 'function') throw new TypeError(`${name} is not a function`);
    return {$f: keepFunction(value)};
  }
  if (name in interfaces) {
    if (!isInstance(value, name)) throw new TypeError(`not a ${name}`);
    return outObject(value);
  }
  switch (name) {
    case 'boolean': return !!value;
    case 'double': case 'float': {
      const number = Number(value);
      if (!Number.isFinite(number)) throw new TypeError(`${number} is not finite`);
      return number;
    }
    case 'unrestricted double': return outNumber(Number(value));
    case 'DOMString':
      if (typeof value === 'symbol') throw new TypeError('a symbol is no string');
      return `${value}`;
    case 'USVString':
      if (typeof value === 'symbol') throw new TypeError('a symbol is no string');
      return `${value}`.toWellFormed();
    case 'Blob': case 'ArrayBuffer': case 'ArrayBufferView': return outBytes(value);
    case 'object':
      if (!isObject(value)) throw new TypeError('not an object');
      return outAny(value);
    case 'any': return outAny(value);
  }
  throw new Error(`no conversion to ${name} is known`);
}

function outAny(value) {
  if (typeof value === 'number') return outNumber(value);
  if (!isObject(value) || typeof value === 'function') return value ?? null;
  if (slotsOf(value).handle) return outObject(value);
  if (isBuffer(value) || value instanceof Blob) return outBytes(value);
  if (Array.isArray(value)) return value.map(outAny);
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, outAny(member)]));
}

function outObject(value) {
  return {$h: slotsOf(value).handle};
}

function outDictionary(value, name) {
  if (value !== undefined && value !== null && !isObject(value)) throw new TypeError(`${name} is not an object`);
  const result = {};
  for (const member of dictionaries[name]) {
    const given = value === undefined || value === null ? undefined : value[member.name];
    if (given !== undefined) result[member.name] = out(given, member.type, member.attributes);
    else if (member.required && !lenient) throw new TypeError(`${name} needs the member ${member.name}`);
  }
  return result;
}

// The type of a union that takes the value.
function pick(value, type) {
  const types = type.of.flatMap((each) => {
    const resolved = typedefs[each.name] ?? each;
    return resolved.union ? resolved.of : [resolved];
  });
  const named = (test) => types.find((each) => test(each));
  return (isNothing(value) && named((each) => dictionaries[each.name]))
    || (isObject(value) && (
      named((each) => each.name in interfaces && isInstance(value, each.name))
      || (typeof value[Symbol.iterator] === 'function' && named((each) => each.generic === 'sequence'))
      || named((each) => dictionaries[each.name]) || named((each) => each.name === 'object')))
    || (typeof value === 'boolean' && named((each) => each.name === 'boolean'))
    || (typeof value === 'number' && named((each) => each.name in INTEGERS || each.name === 'double'))
    || named((each) => /String$/.test(each.name) || enums[each.name])
    || named((each) => each.name in INTEGERS || each.name === 'double')
    || named((each) => each.name === 'boolean')
    || types[0];
}
const isNothing = (value) => value === undefined || value === null;

const functions = new Map();
function keepFunction(callback) {
  functions.set(functions.size + 1, callback);
  return functions.size;
}
shared.callFunction = (id, json) => {
  try {
    functions.get(id)(...JSON.parse(json).map((value) => back(value)));
  } catch (error) {
    shared.report(error);
  }
};

// --- from Python ---

const wrappers = new Map();  // handle → WeakRef
const kept = new Set();  // what has listeners, or would lose them
const dropped = new FinalizationRegistry((handle) => {
  if (wrappers.get(handle)?.deref() !== undefined) return;  // it has come again meanwhile
  wrappers.delete(handle);
  door('drop', handle);
});

function adopt(object, name, handle) {
  Object.assign(slotsOf(object), {handle, interfaces: interfaces[name].ancestors});
  if (interfaces[name].ancestors.includes('EventTarget'))
    slotsOf(object).listen = (type) => { kept.add(object); door('listen', handle, type); };
  wrappers.set(handle, new WeakRef(object));
  dropped.register(object, handle);
  return object;
}

function wrap(handle, name) {
  const known = wrappers.get(handle)?.deref();
  if (known) return known;
  const made = name === 'RTCError' ? error(handle) : Object.create(classes[name].prototype);
  return adopt(made, name, handle);
}

function error(handle) {
  const made = new DOMException(answer(door('get', handle, 'message')), 'OperationError');
  return Object.setPrototypeOf(made, classes.RTCError.prototype);
}

function back(value, type) {
  if (value === null || value === undefined) return value;
  if (Array.isArray(value)) return value.map((item) => back(item, type?.of?.[0]));
  if (typeof value !== 'object') return value;
  if ('$h' in value) return wrap(value.$h, value.$i);
  if ('$b' in value) return Uint8Array.fromBase64(value.$b).buffer;
  if ('$n' in value) return Number(value.$n);
  if ('$e' in value) return exception(value.$e, value.message, value);
  const members = dictionaries[type?.name];
  if (!members) return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, back(member)]));
  const result = {};
  for (const member of members) {
    const given = value[member.name];
    if (given !== undefined && (given !== null || member.type.nullable))
      result[member.name] = back(given, member.type);
  }
  return result;
}

class NotImplemented extends Error {
  get name() { return 'NotImplemented'; }
}
function exception(name, message, value) {
  switch (name) {
    case 'TypeError': return new TypeError(message);
    case 'RangeError': return new RangeError(message);
    case 'NotImplemented': return new NotImplemented(message);
    case 'object': return back(value.value);
    case 'bug': return new Error(message);
  }
  return new DOMException(message, name);
}

// What the door gave: {v: value}, {e: …} or, of a promise that is pending, {p: id}.
function open(json) {
  const {v, e} = JSON.parse(json);
  if (e) throw back(e);
  return v;
}
const answer = (json, type) => back(open(json), type);

const promises = new Map();
function promised(json, type) {
  const {v, e, p} = JSON.parse(json);
  if (e) return Promise.reject(back(e));
  if (p === undefined) return Promise.resolve(type.name === 'undefined' ? undefined : back(v, type));
  return new Promise((resolve, reject) => promises.set(p, {resolve, reject, type}));
}
shared.settle = (id, json) => {
  const {resolve, reject, type} = promises.get(id);
  promises.delete(id);
  try {
    const value = answer(json, type);
    resolve(type.name === 'undefined' ? undefined : value);
  } catch (reason) {
    reject(reason);
  }
};

// --- events: Python hands over one, then has each listener entered, with what awaits promises run in between ---

let current = null;
shared.begin = (handle, json) => {
  const target = wrappers.get(handle)?.deref();
  if (!target) return 0;
  const {type, $h, $i, data} = JSON.parse(json);
  const event = $h ? wrap($h, $i)
    : data === undefined ? new Event(type)
    : new MessageEvent(type, {data: payload(data, target)});
  initEvent(event, type, {}, true);
  const listeners = begin(target, event);
  current = {target, event, listeners, before: current};
  return listeners.length;
};
shared.enter = (index) => {
  enter(current.target, current.event, current.listeners[index]);
};
shared.end = () => {
  slotsOf(current.event).currentTarget = null;
  current = current.before;
};

function payload(data, channel) {
  const value = back(data);
  return typeof value !== 'string' && channel.binaryType === 'blob' ? new Blob([value]) : value;
}

// --- the classes ---

const required = (args) => args.filter((arg) => !arg.optional && !arg.variadic).length;

// https://webidl.spec.whatwg.org/#dfn-overload-resolution-algorithm, as far as these files need it
function convert(args, overloads, what, isEvent = false) {
  const fewest = Math.min(...overloads.map(required));
  if (args.length < fewest) throw new TypeError(`${what}: ${fewest} arguments needed, ${args.length} given`);
  const most = (list) => list.some((arg) => arg.variadic) ? Infinity : list.length;
  const longest = Math.max(...overloads.map(most));
  const count = Math.min(args.length, longest);
  const fitting = overloads.filter((list) => required(list) <= count && count <= most(list));
  const list = fitting.length > 1 ? distinguish(args, fitting) : fitting[0];
  if (!list) throw new TypeError(`${what}: no overload takes ${args.length} arguments`);
  const result = [];
  list.forEach((arg, index) => {
    const given = arg.variadic ? args.slice(index) : args.slice(index, index + 1);
    for (const value of given)
      result.push(value === undefined && arg.optional && !dictionaries[arg.type.name]
        ? undefined : out(value, arg.type, arg.attributes));
  });
  while (result.length && result.at(-1) === undefined) result.pop();
  if (isEvent && result.length > 1) for (const {name} of dictionaries.EventInit) delete result[1][name];
  return JSON.stringify(result);
}

function distinguish(args, overloads) {
  const value = args[0];
  const by = (test) => overloads.find((list) => list.length && test(list[0].type));
  return (isObject(value) && (
      by((type) => type.name in interfaces && isInstance(value, type.name))
      || (value instanceof Blob && by((type) => type.name === 'Blob'))
      || (value instanceof ArrayBuffer && by((type) => type.name === 'ArrayBuffer'))
      || (ArrayBuffer.isView(value) && by((type) => type.name === 'ArrayBufferView'))
      || (typeof value[Symbol.iterator] === 'function' && by((type) => type.generic === 'sequence'))))
    || by((type) => /String$/.test(type.name)) || by((type) => dictionaries[type.name]) || undefined;
}

function method(name, length, body, isStatic = false) {
  const made = {[name](...args) { return body(this, args); }}[name];
  Object.defineProperty(made, 'length', {value: length, configurable: true});
  return made;
}

function requireBrand(object, name, member) {
  if (!isInstance(object, name)) throw new TypeError(`${name}.${member} of something that is no ${name}`);
  return slotsOf(object).handle;
}

function defineClass(name) {
  const {parent, overloads, attributes, operations, maplike} = interfaces[name];
  const Parent = parent ? classes[parent] : Object;
  const isEvent = interfaces[name].ancestors.includes('Event');
  const Class = {[name]: function (...args) {
    if (!overloads.length) throw new TypeError('Illegal constructor');
    if (!new.target) throw new TypeError(`${name} is a constructor: use new`);
    const {$h} = open(door('new', '', name, convert(args, overloads, name, isEvent)));
    const made = name === 'RTCError' ? error($h) : {};
    Object.setPrototypeOf(made, new.target.prototype);
    if (isEvent) initEvent(made, `${args[0]}`, args[1] ?? {});
    return adopt(made, name, $h);
  }}[name];
  Object.defineProperty(Class, 'length', {value: overloads.length ? Math.min(...overloads.map(required)) : 0});
  if (parent) Object.setPrototypeOf(Class, Parent);
  const prototype = Object.create(Parent.prototype);
  Object.defineProperty(Class, 'prototype', {value: prototype, writable: false, enumerable: false, configurable: false});
  Object.defineProperty(prototype, 'constructor', {value: Class, writable: true, enumerable: false, configurable: true});
  Object.defineProperty(prototype, Symbol.toStringTag, {value: name, configurable: true});
  for (const attribute of attributes) defineAttribute(prototype, name, attribute);
  for (const operation of operations) defineOperation(Class, prototype, name, operation);
  if (maplike) defineMap(prototype, name);
  classes[name] = Class;
  define(globalThis, {[name]: Class});
}
function defineAttribute(prototype, owner, {name, type, attributes, readonly}) {
  const isHandler = type.name === 'EventHandler';
  const event = name.slice(2);
  const get = {get [name]() {
    const handle = requireBrand(this, owner, name);
    if (isHandler) return getHandler(this, event);
    const value = answer(door('get', handle, name), type);
    return type.generic === 'FrozenArray' ? frozen(this, name, value) : value;
  }};
  const set = readonly ? undefined : {set [name](value) {
    const handle = requireBrand(this, owner, name);
    if (isHandler) return setHandler(this, event, value);
    if (enums[type.name] && !enums[type.name].includes(`${value}`)) return;  // Web IDL: nothing happens
    answer(door('set', handle, name, JSON.stringify(out(value, type, attributes))));
  }};
  Object.defineProperty(prototype, name, {
    get: Object.getOwnPropertyDescriptor(get, name).get,
    set: set && Object.getOwnPropertyDescriptor(set, name).set,
    enumerable: true, configurable: true,
  });
}

// The same array as long as it holds the same.
function frozen(object, name, items) {
  const arrays = slotsOf(object).arrays ??= {};
  const known = arrays[name];
  if (known?.length === items.length && items.every((item, index) => item === known[index])) return known;
  return arrays[name] = Object.freeze(items);
}

function defineOperation(Class, prototype, owner, {name, overloads, type, isStatic}) {
  const what = `${owner}.${name}`;
  const isPromise = type.generic === 'Promise';
  const run = (object, args) => {
    const target = isStatic ? owner : requireBrand(object, owner, name);
    const json = convert(args, overloads, what);
    if (isPromise) return promised(door('promise', target, name, json), type.of[0]);
    const value = answer(door('call', target, name, json), type);
    return type.name === 'undefined' ? undefined : value;
  };
  const guarded = (object, args) => {
    try {
      return run(object, args);
    } catch (reason) {
      return Promise.reject(reason);
    }
  };
  const made = method(name, Math.min(...overloads.map(required)), isPromise ? guarded : run);
  Object.defineProperty(isStatic ? Class : prototype, name,
    {value: made, writable: true, enumerable: true, configurable: true});
}

// https://webidl.spec.whatwg.org/#js-map-backed; the entries are read once, they do not change
function defineMap(prototype, owner) {
  const read = (object, member) => {
    const handle = requireBrand(object, owner, member);
    return slotsOf(object).map ??= new Map(answer(door('entries', handle)));
  };
  const members = {
    entries: [0, (map) => map.entries()], keys: [0, (map) => map.keys()], values: [0, (map) => map.values()],
    get: [1, (map, key) => map.get(`${key}`)], has: [1, (map, key) => map.has(`${key}`)],
    forEach: [1, (map, callback, self) => map.forEach((value, key) => callback.call(self, value, key, map))],
  };
  for (const [name, [length, body]] of Object.entries(members)) {
    const value = method(name, length, (object, args) => {
      const map = read(object, name);
      if (args.length < length) throw new TypeError(`${owner}.${name} needs an argument`);
      return body(map, ...args);
    });
    Object.defineProperty(prototype, name, {value, writable: true, enumerable: true, configurable: true});
  }
  Object.defineProperty(prototype, Symbol.iterator,
    {value: prototype.entries, writable: true, enumerable: false, configurable: true});
  const {get} = Object.getOwnPropertyDescriptor({get size() { return read(this, 'size').size; }}, 'size');
  Object.defineProperty(prototype, 'size', {get, set: undefined, enumerable: true, configurable: true});
}

for (const name of Object.keys(interfaces)) if (!(name in PLATFORM)) defineClass(name);

shared.generated = (kind) => answer(door('generated', '', kind));

// `navigator.mediaDevices`: one object, made when it is asked for.
Object.defineProperty(Navigator.prototype, 'mediaDevices', {
  get() { return slotsOf(this).devices ??= answer(door('devices', '')); }, enumerable: true, configurable: true,
});
})(globalThis.shared);
