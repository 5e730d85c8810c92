/** Checks the function that makes the connections of a session, and its results. */

/**
 * Refuse at once what would fail only when a connection is needed.
 *
 * @throws TypeError `connect` is not a function.
 */
export function checkConnect(connect: unknown): void {
  if (typeof connect === "function") return;
  throw new TypeError(
    `connect is ${connect === undefined ? "missing" : String(connect)}: a function that makes a new RTCPeerConnection ` +
      "each time it is called, as () => new RTCPeerConnection()",
  );
}

/**
 * Return what `connect()` gave, if a session can be built on it.
 *
 * @param known the session's other connections.
 * @throws TypeError it is not a connection, or is in use.
 */
export function checkConnection(made: RTCPeerConnection, known: RTCPeerConnection[]): RTCPeerConnection {
  if (typeof made?.setLocalDescription !== "function") {
    throw new TypeError(
      `connect() gave ${String(made)}: a plain function that returns a new RTCPeerConnection is wanted`,
    );
  }
  let used = "";
  if (made.signalingState === "closed") used = "is closed";
  else if (known.includes(made)) used = "is this session's already";
  else if (made.localDescription || made.remoteDescription || made.signalingState !== "stable") {
    used = "is in use already";
  }
  if (used) throw new TypeError(`connect() gave a connection that ${used}: it must make a new one each time`);
  return made;
}
