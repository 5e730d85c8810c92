// Sound for the peer: it plays tones that carry their number, and hears those of the other side (adieu.testing: sound.py).
//
// A browser without a sound device, as Firefox here, runs no AudioContext. Then the tones come from an audio element,
// and what is heard is recorded, and looked at in the end.
"use strict";

const TONES = `
const PITCHES = 64, LOWEST = 500, STEP = 50, SECONDS = 0.04;
const PURE = 0.6, QUIET = 0.01, LOUDNESS = 0.3;

const pitch = (number) => LOWEST + STEP * (number % PITCHES);

// Looks for tones: windows of 20 ms, each 10 ms, at about 8 kHz.
class Listener {
  constructor(rate, tell) {
    this.tell = tell;
    this.factor = Math.round(rate / 8000);
    this.rate = rate / this.factor;
    this.length = Math.round(this.rate / 50);
    this.hop = Math.round(this.rate / 100);
    this.waves = [];
    for (let n = 0; n < PITCHES; n++) {
      const step = (2 * Math.PI * pitch(n)) / this.rate;
      this.waves.push([Math.cos, Math.sin].map((wave) => Float64Array.from({ length: this.length }, (_, i) => wave(step * i))));
    }
    this.held = [];
    this.sum = this.count = this.seen = 0;
    this.last = null;
  }
  feed(samples) {
    for (const sample of samples) {
      this.sum += sample;
      if (++this.count < this.factor) continue;
      this.held.push(this.sum / this.factor);
      this.sum = this.count = 0;
    }
    while (this.held.length >= this.length) {
      this.look(this.held.slice(0, this.length), this.seen / this.rate);
      this.held.splice(0, this.hop);
      this.seen += this.hop;
    }
  }
  look(window, begin) {
    let power = 0;
    for (const sample of window) power += sample * sample;
    if (power / window.length < QUIET ** 2) return;
    let best = 0, number = 0;
    this.waves.forEach(([cosine, sine], n) => {
      let a = 0, b = 0;
      for (let i = 0; i < window.length; i++) (a += window[i] * cosine[i]), (b += window[i] * sine[i]);
      if (a * a + b * b > best) (best = a * a + b * b), (number = n);
    });
    const pure = (best * 2) / window.length >= PURE * power;
    const fresh = pure && number !== this.last;
    if (fresh) this.last = number;
    this.tell(fresh ? number : null, begin + this.length / this.rate);
  }
}
`;

const WORKLETS = `${TONES}
registerProcessor("reader", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.listener = new Listener(sampleRate, (number, end) => this.port.postMessage([number, Date.now(), end]));
  }
  process([[samples]]) {
    if (samples) this.listener.feed(samples);
    return true;
  }
});
registerProcessor("player", class extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.count = processorOptions.count;
    this.each = Math.round(SECONDS * sampleRate);
    this.index = this.number = this.phase = 0;
  }
  process(_, [[samples]]) {
    for (let i = 0; i < samples.length; i++) {
      if (this.number >= this.count) return true;
      if (this.index === 0) this.port.postMessage([this.number, Date.now()]);
      this.phase += (2 * Math.PI * pitch(this.number)) / sampleRate;
      samples[i] = LOUDNESS * Math.sin(this.phase);
      if (++this.index === this.each) (this.index = 0), this.number++;
    }
    return true;
  }
});
`;

const { Listener, pitch, SECONDS, LOUDNESS } = new Function(`${TONES} return { Listener, pitch, SECONDS, LOUDNESS };`)();
const alive = []; // or it is collected
let context; // null: there is no device
let heard = []; // [number, when, where]: milliseconds since 1970, seconds of what was heard
let played = [];
let lastSound = null; // [when, where]
let recordings = [];

async function sound() {
  if (context !== undefined) return context;
  const made = new AudioContext();
  await Promise.race([made.resume(), new Promise((resolve) => setTimeout(resolve, 1000))]);
  context = made.state === "running" ? made : null;
  await context?.audioWorklet.addModule(URL.createObjectURL(new Blob([WORKLETS], { type: "text/javascript" })));
  return context;
}

function note(number, at, where) {
  lastSound = [at, where];
  if (number !== null) heard.push([number, at, where]);
}

function hear(track) {
  const stream = new MediaStream([track]);
  if (!context) {
    record(stream);
    return;
  }
  const element = new Audio(); // without one, Chromium gives WebAudio nothing of a remote track
  element.srcObject = stream;
  element.muted = true;
  element.play().catch(() => undefined);
  const reader = new AudioWorkletNode(context, "reader", { numberOfOutputs: 0 });
  reader.port.onmessage = ({ data }) => note(...data);
  context.createMediaStreamSource(stream).connect(reader);
  alive.push(element, reader);
}

function record(stream) {
  const recorder = new MediaRecorder(stream, { audioBitsPerSecond: 64000 });
  const recording = { recorder, parts: [], begin: Date.now(), over: false };
  recorder.ondataavailable = ({ data }) => recording.parts.push(data);
  recorder.onstart = () => (recording.begin = Date.now());
  recorder.start();
  recordings.push(recording);
}

// Look at what was recorded: the recording is over.
async function readRecordings() {
  for (const { recorder, parts, begin } of recordings) {
    if (recorder.state !== "inactive") {
      const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve));
      recorder.stop();
      await stopped;
    }
    const data = await new Blob(parts).arrayBuffer();
    if (!data.byteLength) continue;
    const buffer = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(data);
    const listener = new Listener(buffer.sampleRate, (number, end) => note(number, begin + 1000 * end, end));
    listener.feed(buffer.getChannelData(0));
  }
  recordings = [];
}

function wave(count) {
  const rate = 48000;
  const each = Math.round(SECONDS * rate);
  const view = new DataView(new ArrayBuffer(44 + 2 * each * count));
  const text = (at, word) => [...word].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  text(0, "RIFF"), text(8, "WAVEfmt "), text(36, "data");
  for (const [at, value] of [[4, view.byteLength - 8], [16, 16], [24, rate], [28, 2 * rate], [40, view.byteLength - 44]]) view.setUint32(at, value, true);
  for (const [at, value] of [[20, 1], [22, 1], [32, 2], [34, 16]]) view.setUint16(at, value, true);
  let phase = 0;
  for (let i = 0; i < each * count; i++) {
    phase += (2 * Math.PI * pitch(Math.floor(i / each))) / rate;
    view.setInt16(44 + 2 * i, 32767 * LOUDNESS * Math.sin(phase), true);
  }
  return URL.createObjectURL(new Blob([view.buffer], { type: "audio/wav" }));
}

async function speakingTrack(count) {
  if (context) {
    const player = new AudioWorkletNode(context, "player", { numberOfInputs: 0, outputChannelCount: [1], processorOptions: { count } });
    player.port.onmessage = ({ data }) => played.push(data);
    const destination = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
    player.connect(destination);
    alive.push(player);
    return destination.stream.getAudioTracks()[0];
  }
  const element = new Audio(wave(count));
  const stream = element.mozCaptureStream();
  await element.play();
  const begin = Date.now() - 1000 * element.currentTime;
  played = Array.from({ length: count }, (_, number) => [number, begin + 1000 * SECONDS * number]);
  alive.push(element);
  return stream.getAudioTracks()[0];
}

Object.assign(commands, {
  // Play the tones of a telephone, beside the sound that is sent.
  dial({ digits }) {
    pc.getSenders().find(({ track }) => track?.kind === "audio").dtmf.insertDTMF(digits, 100, 70);
  },
  // From now on the tones of each remote track are heard.
  async listen() {
    await sound();
    pc.addEventListener("track", ({ track }) => {
      for (const name of ["mute", "unmute", "ended"]) track.addEventListener(name, () => tell("track", { kind: track.kind, state: name }));
      if (track.kind === "audio") hear(track);
      tell("track", { kind: track.kind, state: "added", muted: track.muted });
    });
  },
  // Tones as an audio track, which is sent.
  async speak({ count = 2500 }) {
    await sound();
    const track = await speakingTrack(count);
    pc.addTrack(track, new MediaStream([track]));
  },
  // The tones so far; where they are recorded, this ends the recording.
  async heard({ end = false }) {
    if (end) await readRecordings();
    return { heard, played, lastSound, now: Date.now(), live: Boolean(context) };
  },
  async inbound() {
    return [...(await pc.getStats()).values()].find(({ type, kind }) => type === "inbound-rtp" && kind === "audio") ?? null;
  },
});
