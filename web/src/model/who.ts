/** The people that the conversation remembers. */

/** One of the others, as something in the conversation remembers them. */
export interface Who {
  /** Whoever comes back with this name may be the same person. */
  readonly name: string;
  /** What they are called: "Ben", or "Ben (2)". */
  readonly label: string;
  /** The id of the session with them. */
  readonly to: string;
}

/** Somebody who is here. */
export interface Present {
  readonly name: string;
  readonly label: string;
  readonly session: { readonly id: string };
}

export function whoIs({ name, label, session }: Present): Who {
  return { name, label, to: session.id };
}
