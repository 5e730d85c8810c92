/** simple-peer: goodbye gets the connection and the channel that are in the peer. */

import { goodbye } from "adieu-rtc/goodbye";
import Peer from "simple-peer/simplepeer.min.js";
import { calls, signaling } from "./connect.js";
import { show, words } from "./show.js";

const say = show(() => end.close({ reason: "clicked Leave" }));
let peer;
let end;
const send = signaling((message) => {
  if (message.ready && !calls) send(message);
  else if (message.ready && !peer) start(true);
  else if (message.signal) peer.signal(message.signal);
});

function start(initiator) {
  peer = new Peer({ initiator });
  end = goodbye(peer._pc, { channels: peer._channel ? [peer._channel] : [] });
  for (const name of Object.keys(words)) end.addEventListener(name, (event) => say(words[name](event)));
  peer.on("signal", (signal) => send({ signal }));
  peer.on("connect", () => {
    say("connected");
    peer.send("hello");
  });
}

if (!calls) start(false);
send({ ready: true });
