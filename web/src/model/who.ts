/** The people in the conversation. */

/** A peer, as an entry of the conversation remembers it. */
export interface Who {
  /** The name. A peer that joins later with this name may be the same person. */
  readonly name: string;
  /** The name to show: "Ben", or "Ben (2)". */
  readonly label: string;
  /** The id of the session. */
  readonly to: string;
}

/** A peer that is here. */
export interface Present {
  readonly name: string;
  readonly label: string;
  readonly session: { readonly id: string };
}

export function whoIs({ name, label, session }: Present): Who {
  return { name, label, to: session.id };
}
