// The commands and events of ../peer.py, done by the browser's own WebRTC.
"use strict";

const socket = new WebSocket(`ws://${location.host}/peer${location.search}`);
const channels = new Map();
let pc = null;

const tell = (event, detail = {}) =>
  socket.send(JSON.stringify({ event, at: performance.timeOrigin + performance.now(), ...detail }));

const STATES = {
  connection: "connectionState",
  ice: "iceConnectionState",
  gathering: "iceGatheringState",
  signaling: "signalingState",
};

const commands = {
  async new({ configuration = {}, rsa = false }) {
    if (rsa) {
      const key = { name: "RSASSA-PKCS1-v1_5", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" };
      configuration.certificates = [await RTCPeerConnection.generateCertificate(key)];
    }
    pc = new RTCPeerConnection(configuration);
    pc.onicecandidate = ({ candidate }) => tell("candidate", { candidate });
    for (const [kind, attribute] of Object.entries(STATES)) {
      pc.addEventListener(`${attribute.toLowerCase()}change`, () => tell("state", { kind, state: pc[attribute] }));
    }
    pc.ondatachannel = ({ channel }) => {
      watch(channel);
      tell("datachannel", { label: channel.label, ...options(channel) });
    };
  },
  channel({ label, init = {} }) {
    watch(pc.createDataChannel(label, init));
  },
  async media({ kinds = ["audio", "video"], tracks = false, rids = [] }) {
    for (const kind of kinds) {
      const stream = tracks ? await navigator.mediaDevices.getUserMedia({ [kind]: true }) : null;
      const init = kind === "video" && rids.length ? { sendEncodings: rids.map((rid) => ({ rid })) } : {};
      if (stream && !rids.length) pc.addTrack(stream.getTracks()[0], stream);
      else pc.addTransceiver(stream?.getTracks()[0] ?? kind, { streams: stream ? [stream] : [], ...init });
    }
  },
  restart() {
    pc.restartIce();
  },
  async offer() {
    await pc.setLocalDescription(await pc.createOffer());
    watchTransports();
    return pc.localDescription.sdp;
  },
  async answer({ sdp }) {
    await pc.setRemoteDescription({ type: "offer", sdp });
    await pc.setLocalDescription(await pc.createAnswer());
    watchTransports();
    return pc.localDescription.sdp;
  },
  async accept({ sdp }) {
    await pc.setRemoteDescription({ type: "answer", sdp });
    watchTransports();
  },
  local: () => pc.localDescription.sdp,
  async candidate({ candidate }) {
    if (candidate) await pc.addIceCandidate(candidate);
    else await pc.addIceCandidate();
  },
  send({ label, text, base64 }) {
    channels.get(label).send(text ?? Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
  },
  flood({ label, size, count }) {
    const channel = channels.get(label);
    for (let index = 0; index < count; index++) {
      const message = new Uint8Array(size);
      new DataView(message.buffer).setUint32(0, index);
      channel.send(message);
    }
  },
  close_channel({ label }) {
    channels.get(label).close();
  },
  close() {
    pc.close();
  },
  close_both({ label }) {
    channels.get(label).close();
    pc.close();
  },
  async stats() {
    return [...(await pc.getStats()).values()];
  },
  look() {
    return {
      connection: pc.connectionState,
      ice: pc.iceConnectionState,
      signaling: pc.signalingState,
      sctp: pc.sctp?.state ?? null,
      dtls: pc.sctp?.transport.state ?? null,
      maxMessageSize: pc.sctp ? Math.min(pc.sctp.maxMessageSize, Number.MAX_SAFE_INTEGER) : null,
      channels: Object.fromEntries([...channels].map(([label, c]) => [label, { ...options(c), readyState: c.readyState, bufferedAmount: c.bufferedAmount }])),
    };
  },
  async judge_offers({ texts }) {
    const verdicts = [];
    for (const sdp of texts) {
      const one = new RTCPeerConnection();
      let where = "set";
      try {
        await one.setRemoteDescription({ type: "offer", sdp });
        where = "answer";
        await one.setLocalDescription();
        verdicts.push(one.localDescription.sdp);
      } catch (error) {
        verdicts.push(`${where}:${error.name}`);
      }
      one.close();
    }
    return verdicts;
  },
  async judge_answers({ kinds, texts }) {
    const verdicts = [];
    for (const sdp of texts) {
      const one = new RTCPeerConnection();
      one.createDataChannel("chat");
      for (const kind of kinds) one.addTransceiver(kind);
      await one.setLocalDescription();
      try {
        await one.setRemoteDescription({ type: "answer", sdp });
        verdicts.push("+");
      } catch (error) {
        verdicts.push(`set:${error.name}`);
      }
      one.close();
    }
    return verdicts;
  },
  async judge_candidates({ offer, texts }) {
    const verdicts = [];
    const one = new RTCPeerConnection();
    await one.setRemoteDescription({ type: "offer", sdp: offer });
    await one.setLocalDescription();
    for (const candidate of texts) {
      try {
        await one.addIceCandidate({ candidate, sdpMid: "0", sdpMLineIndex: 0 });
        verdicts.push("+");
      } catch (error) {
        verdicts.push(`set:${error.name}`);
      }
    }
    one.close();
    return verdicts;
  },
  settle: () => new Promise((resolve) => setTimeout(resolve, 150)),
};

function watch(channel) {
  const label = channel.label;
  channels.set(label, channel);
  channel.binaryType = "arraybuffer";
  channel.onopen = () => tell("open", { label, id: channel.id });
  channel.onclosing = () => tell("closing", { label, readyState: channel.readyState });
  channel.onclose = () => tell("close", { label, readyState: channel.readyState });
  channel.onerror = ({ error }) =>
    tell("error", { label, detail: error?.errorDetail, cause: error?.sctpCauseCode ?? null, message: error?.message });
  channel.onmessage = ({ data }) => {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : new Uint8Array(data);
    const kind = typeof data === "string" ? "text" : "binary";
    tell("message", { label, kind, size: bytes.length, crc: crc32(bytes), ...(kind === "text" && bytes.length < 200 ? { text: data } : {}) });
  };
}

function options({ label, id, ordered, maxRetransmits, maxPacketLifeTime, protocol, negotiated }) {
  return { label, id, ordered, maxRetransmits, maxPacketLifeTime, protocol, negotiated };
}

let watched = null;
function watchTransports() {
  if (!pc.sctp || watched === pc.sctp) return;
  watched = pc.sctp;
  pc.sctp.onstatechange = () => tell("state", { kind: "sctp", state: watched.state });
  const dtls = pc.sctp.transport;
  dtls.onstatechange = () => tell("state", { kind: "dtls", state: dtls.state });
}

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});
function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

// Commands are done one after the other, as they were given.
let turn = Promise.resolve();
socket.onmessage = ({ data }) => {
  const { id, command, ...detail } = JSON.parse(data);
  turn = turn.then(async () => {
    try {
      socket.send(JSON.stringify({ id, result: (await commands[command](detail)) ?? null }));
    } catch (error) {
      socket.send(JSON.stringify({ id, error: { name: error.name, message: error.message } }));
    }
  });
};
