/** What the page remembers of a person from one visit to the next: the name. Where storage is blocked, nothing. */

const NAME = "adieu-name";
export const MAX_NAME = 64;

/** The name that was given last. */
export function knownName(storage: () => Storage = () => localStorage): string {
  try {
    return storage().getItem(NAME)?.slice(0, MAX_NAME) ?? "";
  } catch {
    return "";
  }
}

/** Remember a name. */
export function rememberName(name: string, storage: () => Storage = () => localStorage): void {
  try {
    storage().setItem(NAME, name);
  } catch {
    // Storage is blocked or full: the name is asked again next time.
  }
}
