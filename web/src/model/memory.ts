/** The choices of the person, remembered from one visit to the next if storage is not blocked. */

export const MAX_NAME = 64;

/** Return what was remembered; empty if there is nothing. */
export function known(key: string, storage: () => Storage = () => localStorage): string {
  try {
    return storage().getItem(`adieu-${key}`) ?? "";
  } catch {
    return "";
  }
}

/** Remember a choice. */
export function remember(key: string, value: string, storage: () => Storage = () => localStorage): void {
  try {
    storage().setItem(`adieu-${key}`, value);
  } catch {
    // Storage is blocked or full: the page asks again next time.
  }
}

/** Return the last name. */
export function knownName(storage?: () => Storage): string {
  return known("name", storage).slice(0, MAX_NAME);
}

/** Remember a name. */
export function rememberName(name: string, storage?: () => Storage): void {
  remember("name", name, storage);
}
