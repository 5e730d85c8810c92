/** The application's own connection and signaling: here two tabs of one browser, of which one has the address #call. */

export const calls = location.hash === "#call";

/** Pass something on to the other tab, and hear it. */
export function signaling(hear) {
  const channel = new BroadcastChannel("example");
  channel.onmessage = ({ data }) => hear(data);
  return (message) => channel.postMessage(message);
}

/** Make a connection with one data channel; `onopen(channel)` is called when that is open. */
export function connect(onopen) {
  const pc = new RTCPeerConnection();
  const follow = (channel) => {
    channel.onopen = () => onopen(channel);
  };
  const describe = async () => {
    await pc.setLocalDescription();
    send({ description: pc.localDescription.toJSON() });
  };
  const send = signaling(async ({ description, candidate, ready }) => {
    if (ready && !calls) send({ ready });
    else if (ready && !pc.sctp) {
      follow(pc.createDataChannel("chat"));
      await describe();
    } else if (description) {
      await pc.setRemoteDescription(description);
      if (description.type === "offer") await describe();
    } else if (candidate) await pc.addIceCandidate(candidate);
  });
  pc.onicecandidate = ({ candidate }) => candidate && send({ candidate: candidate.toJSON() });
  pc.ondatachannel = ({ channel }) => follow(channel);
  send({ ready: true });
  return pc;
}
