/** Rooms on virtual time: a signaling server that is as little as they need, which can be lost and started anew. */

import { type JoinOptions, join, type Room, type Session, type Unconnected } from "../src/index.js";
import { Wire } from "./fakes.js";
import { VirtualTime } from "./time.js";

const DELAY = 0.002;
const LIMITS = {
  messageBytes: 65536,
  sdpBytes: 61440,
  candidates: 50,
  messagesPerSecond: 1000,
  burst: 2000,
  rooms: 128,
  roomPeers: 16,
};

interface Message {
  type: string;
  [member: string]: unknown;
}

class Seat {
  socket: Socket | undefined;
  joined = false;
  seq = 0;
  heard = 0;
  readonly kept: [number, Message][] = [];

  constructor(
    readonly peer: string,
    readonly name: string,
  ) {}
}

export class Server {
  /** Names whose sockets end as soon as they are opened. */
  readonly blocked = new Set<string>();
  /** Of the version before: it does not say `moved` by signaling. By name. */
  readonly old = new Set<string>();
  /** Names that may close the room for all. */
  readonly hosts = new Set<string>();
  /** Names that do not hear that the room is closed. */
  readonly deaf = new Set<string>();
  /** What was relayed. */
  readonly relayed: Message[] = [];
  /** The peer ids that a name gets, one after the other. */
  readonly ids = new Map<string, string[]>();
  readonly seats = new Map<string, Seat>();

  constructor(readonly time: VirtualTime) {}

  open(): WebSocket {
    return new Socket(this) as unknown as WebSocket;
  }

  seatOf(name: string): Seat {
    return [...this.seats.values()].find((seat) => seat.name === name)!;
  }

  /** The socket of somebody ends; the seat is kept. */
  lose(name: string): void {
    const seat = this.seatOf(name);
    this.blocked.add(name);
    seat.socket?.end();
    seat.socket = undefined;
    this.#others(seat, { type: "peerAway", room: "lab", peer: seat.peer });
  }

  /** From now on it may come again. */
  resume(name: string): void {
    this.blocked.delete(name);
  }

  /** The seat is given up: whoever comes back has another. */
  vacate(name: string): void {
    const seat = this.seatOf(name);
    this.seats.delete(seat.peer);
    this.#others(seat, { type: "peerLeft", room: "lab", peer: seat.peer, reason: "timeout" });
  }

  /** All seats are lost. */
  restart(): void {
    const seats = [...this.seats.values()];
    this.seats.clear();
    for (const { socket } of seats) socket?.end();
  }

  heard(socket: Socket, frame: string): void {
    const { id, seq, ack: _, ...message } = JSON.parse(frame);
    const { seat } = socket;
    if (message.type === "hello") return this.#hello(socket, id, message);
    if (!seat || this.seats.get(seat.peer) !== seat) return;
    if (seq) seat.heard = seq;
    switch (message.type) {
      case "join":
        socket.hear({ id, type: "joined", room: "lab", peers: this.#roster(seat) });
        if (!seat.joined) this.#others(seat, { type: "peerJoined", room: "lab", peer: described(seat) });
        seat.joined = true;
        return;
      case "iceServers":
        return socket.hear({ id, type: "iceServersAre", iceServers: [] });
      case "quit":
        this.seats.delete(seat.peer);
        this.#others(seat, { type: "peerLeft", room: "lab", peer: seat.peer, reason: "left" });
        return socket.hear({ id, type: "goodbye" });
      case "closeRoom":
        return this.#closeRoom(socket, seat, id, message.reason);
      case "ack":
        return;
    }
    if (message.type === "probe" && !("alive" in message)) {
      socket.hear({ id, type: "probe", to: message.to, alive: !!this.seats.get(message.to)?.socket });
    }
    if (message.type === "moved" && this.old.has(seat.name)) return;
    this.relay(seat.peer, message);
  }

  #closeRoom(socket: Socket, host: Seat, id: number, reason = ""): void {
    if (!this.hosts.has(host.name)) {
      return socket.hear({ id, type: "error", code: "denied", message: "no right `close`", temporary: false });
    }
    for (const seat of [...this.seats.values()]) {
      if (seat === host || this.deaf.has(seat.name)) continue;
      this.seats.delete(seat.peer);
      seat.socket?.hear({ type: "kicked", code: "room-closed", reason });
      this.#others(seat, { type: "peerLeft", room: "lab", peer: seat.peer, reason: "kicked" });
      seat.socket?.end(3509);
    }
    socket.hear({ id, type: "ack" });
  }

  /** As `from` says it. */
  relay(from: string, message: Message): void {
    this.relayed.push(message);
    const target = this.seats.get(message.to as string);
    if (target) this.#tell(target, { ...message, from });
  }

  #hello(socket: Socket, id: number, { name, resume }: { name: string; resume?: { token: string; lastSeq: number } }) {
    if (this.blocked.has(name)) return socket.end();
    const known = resume && this.seats.get(resume.token);
    const seat = known ?? new Seat(this.ids.get(name)?.shift() ?? name, name);
    this.seats.set(seat.peer, seat);
    seat.socket = socket;
    socket.seat = seat;
    socket.hear({
      id,
      ...(known && { ack: seat.heard }),
      type: "welcome",
      peer: seat.peer,
      resumeToken: seat.peer,
      resumed: !!known,
      resumeGraceMs: 75000,
      pingMs: 10000,
      limits: LIMITS,
      can: this.hosts.has(name) ? ["close"] : [],
    });
    if (!known) return;
    for (const [seq, message] of seat.kept) if (seq > resume.lastSeq) socket.hear({ seq, ...message });
    this.#others(seat, { type: "peerBack", room: "lab", peer: seat.peer });
  }

  #roster(seat: Seat): object[] {
    return [...this.seats.values()].filter((other) => other !== seat && other.joined).map(described);
  }

  #others(seat: Seat, message: Message): void {
    for (const other of this.seats.values()) if (other !== seat && other.joined) this.#tell(other, message);
  }

  #tell(seat: Seat, message: Message): void {
    seat.kept.push([++seat.seq, message]);
    seat.socket?.hear({ seq: seat.seq, ...message });
  }
}

function described({ peer, name, socket }: Seat): object {
  return { peer, name, ...(!socket && { away: true }) };
}

class Socket {
  readonly OPEN = 1;
  readyState = 0;
  seat: Seat | undefined;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;

  constructor(readonly server: Server) {
    server.time.later(DELAY, () => {
      this.readyState = 1;
      this.onopen?.();
    });
  }

  send(frame: string): void {
    this.server.time.later(DELAY, () => this.readyState === 1 && this.server.heard(this, frame));
  }

  hear(message: object): void {
    this.server.time.later(DELAY, () => this.readyState === 1 && this.onmessage?.({ data: JSON.stringify(message) }));
  }

  /** By the server, or by what is between. */
  end(code = 1006): void {
    this.server.time.later(DELAY, () => {
      this.close();
      this.onclose?.({ code, reason: "" });
    });
  }

  close(): void {
    this.readyState = 3;
  }
}

/** A room, and what it has told. */
export interface Member {
  room: Room;
  sessions: Session[];
  told: Unconnected[];
}

export class House {
  readonly time = new VirtualTime();
  readonly server = new Server(this.time);
  readonly wire = new Wire(this.time);
  readonly members: Member[] = [];

  /** Somebody comes in; its peer id is `id`. */
  async enter(id: string, options: Partial<JoinOptions> = {}): Promise<Member> {
    const name = options.name ?? id;
    if (!this.server.ids.has(name)) this.server.ids.set(name, [id]);
    const platform = this.time.platform({
      openSocket: () => this.server.open(),
      makeConnection: () => this.wire.connect(),
    });
    const listen = (room: Room): Member => {
      const member: Member = { room, sessions: [], told: [] };
      room.addEventListener("session", ({ session }) => void member.sessions.push(session));
      room.addEventListener("unconnected", (each) => void member.told.push(each));
      return member;
    };
    const entering = join("ws://server/ws", { room: "lab", platform, ...options, name }).then(listen);
    const member = await this.time.until(entering);
    this.members.push(member);
    return member;
  }

  /** The sessions that come next, of each. */
  sessions(...members: Member[]): Promise<Session[]> {
    return this.time.until(Promise.all(members.map(({ room }) => room.session())));
  }

  async talk(one: Session, other: Session, text: string): Promise<void> {
    if (one.id !== other.id) throw new Error("two sessions");
    const [here, there] = await this.time.until(Promise.all([one.open("chat"), other.open("chat")]));
    await here.send(text);
    if ((await this.time.until(there.receive())) !== text) throw new Error("another text");
  }

  async leave(): Promise<void> {
    await this.time.until(Promise.all(this.members.map(({ room }) => room.close({ timeout: 0 }))));
  }
}

/** Why somebody was not connected, each reason once in a row. */
export function whys({ told }: Member): string[] {
  return told.map(({ why }) => why).filter((why, at, all) => why !== all[at - 1]);
}
