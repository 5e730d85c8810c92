/** The name of the person, remembered from one visit to the next if storage is not blocked. */

const NAME = "adieu-name";
export const MAX_NAME = 64;

/** Return the last name. */
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
    // // Storage is blocked or full: the page asks for the name again next time.
  }
}
