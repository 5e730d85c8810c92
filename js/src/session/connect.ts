/** Checks the function that makes the connections of a session, and its results. */

const REMEDY = "give a function that makes a new RTCPeerConnection each time, as () => new RTCPeerConnection()";

/**
 * Refuse at once what would fail only when a connection is needed.
 *
 * @throws TypeError `connect` is not a function.
 */
export function checkConnect(connect: unknown): void {
  if (typeof connect === "function") return;
  throw new TypeError(`connect is ${connect === undefined ? "missing" : String(connect)}: ${REMEDY}`);
}

/**
 * Return what `connect()` gave, if a session can be built on it.
 *
 * @param known the session's other connections.
 * @throws TypeError it is not a connection, or is in use.
 */
export function checkConnection(made: RTCPeerConnection, known: RTCPeerConnection[]): RTCPeerConnection {
  let wrong = "";
  if (typeof made?.setLocalDescription !== "function") wrong = String(made);
  else if (made.signalingState === "closed") wrong = "a connection that is closed";
  else if (known.includes(made)) wrong = "a connection that is this session's already";
  else if (made.localDescription || made.remoteDescription || made.signalingState !== "stable") {
    wrong = "a connection that is in use already";
  }
  if (wrong) throw new TypeError(`connect() gave ${wrong}: ${REMEDY}`);
  return made;
}
