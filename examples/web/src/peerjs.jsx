/** PeerJS: goodbye gets the connection and the channel of a data connection, when it is open. */

import { goodbye } from "adieu-rtc/goodbye";
import { Peer } from "peerjs";
import { calls } from "./connect.js";
import { show, words } from "./show.js";

const say = show(() => end.close({ reason: "clicked Leave" }));
const port = Number(new URLSearchParams(location.search).get("port") ?? 9000);
const peer = new Peer(calls ? "caller" : "callee", { host: location.hostname, port, config: { iceServers: [] } });
let end;

function follow(connection) {
  connection.on("open", () => {
    end = goodbye(connection.peerConnection, { channels: [connection.dataChannel] });
    for (const name of Object.keys(words)) end.addEventListener(name, (event) => say(words[name](event)));
    say("connected");
    connection.send("hello");
  });
}

peer.on("connection", follow);
if (calls) peer.on("open", () => follow(peer.connect("callee")));
