// Pictures for the peer: it shows numbered ones, and reads those of the other side (adieu.testing: pictures.py).
"use strict";

const BITS = 16, BLOCK = 16, ROW = 8;
let shown = []; // [number, milliseconds since 1970]
let seen = []; // [number, milliseconds since 1970, width, height]
let gone = 0; // frames that requestVideoFrameCallback was not called for
let held = false;
const screens = [];

function paint(context, number, width, height) {
  context.fillStyle = "rgb(90 110 130)";
  context.fillRect(0, 0, width, height);
  context.fillStyle = "rgb(180 170 60)";
  for (let y = 2 * BLOCK; y < height; y += 40) context.fillRect((number * 4 + y * 3) % width, y, 60, 24);
  for (let bit = 0; bit < BITS; bit++) {
    context.fillStyle = (number >> bit) & 1 ? "white" : "black";
    context.fillRect((bit % ROW) * BLOCK, Math.floor(bit / ROW) * BLOCK, BLOCK, BLOCK);
  }
}

function read(pixels, width) {
  let number = 0;
  for (let bit = 0; bit < BITS; bit++) {
    const x = (bit % ROW) * BLOCK + BLOCK / 2, y = Math.floor(bit / ROW) * BLOCK + BLOCK / 2;
    let sum = 0;
    for (const dy of [-2, 0, 2]) for (const dx of [-2, 0, 2]) sum += pixels[4 * ((y + dy) * width + x + dx)];
    if (sum / 9 > 100 && sum / 9 < 150) return null;
    if (sum / 9 > 125) number |= 1 << bit;
  }
  return number;
}

function view(track, wide) {
  const video = document.createElement("video");
  video.muted = true;
  video.srcObject = new MediaStream([track]);
  const canvas = new OffscreenCanvas(ROW * BLOCK, (BITS / ROW) * BLOCK);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let before = null;
  const frame = (_, { presentedFrames }) => {
    if (before !== null) gone += presentedFrames - before - 1;
    before = presentedFrames;
    const { videoWidth: width, videoHeight: height } = video;
    const scale = width / wide; // a sender that lacks time or rate scales its picture
    context.drawImage(video, 0, 0, canvas.width * scale, canvas.height * scale, 0, 0, canvas.width, canvas.height);
    seen.push([read(context.getImageData(0, 0, canvas.width, canvas.height).data, canvas.width), performance.timeOrigin + performance.now(), width, height]);
    video.requestVideoFrameCallback(frame);
  };
  video.requestVideoFrameCallback(frame);
  video.play().catch(() => undefined);
  document.body?.append(video) ?? document.documentElement.append(video);
  screens.push(video);
}

Object.assign(commands, {
  // From now on the pictures of each remote track are read.
  see({ wide = 640 }) {
    pc.addEventListener("track", ({ track }) => {
      if (track.kind !== "video") return;
      for (const name of ["mute", "unmute", "ended"]) track.addEventListener(name, () => tell("track", { kind: "video", state: name }));
      view(track, wide);
      tell("track", { kind: "video", state: "added", muted: track.muted });
    });
  },
  // Show no new picture, or go on.
  hold({ still }) {
    held = still;
  },
  // Numbered pictures as a video track, which is sent.
  show({ width = 640, height = 480, rate = 30 }) {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    let number = 0;
    const next = () => {
      if (held) return;
      paint(context, number, width, height);
      shown.push([number++, performance.timeOrigin + performance.now()]);
    };
    next();
    const stream = canvas.captureStream();
    setInterval(next, 1000 / rate);
    screens.push(canvas);
    pc.addTrack(stream.getVideoTracks()[0], stream);
  },
  // Of the transceivers so far, use this codec before all others.
  prefer({ codec }) {
    for (const transceiver of pc.getTransceivers()) {
      if (transceiver.receiver.track.kind !== "video") continue;
      const { codecs } = RTCRtpReceiver.getCapabilities("video");
      const wanted = codecs.filter(({ mimeType }) => mimeType.toLowerCase() === `video/${codec}`.toLowerCase());
      const helpers = codecs.filter(({ mimeType }) => /rtx|red/i.test(mimeType));
      transceiver.setCodecPreferences([...wanted, ...helpers]);
    }
  },
  pictures() {
    return { seen, shown, gone, now: Date.now() };
  },
});
