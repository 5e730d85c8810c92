/** What the views look at: it says `change` when there is something new to see, at most once a turn. */
export class Model extends EventTarget {
  #told = false;

  /** There is something new to see. */
  changed(): void {
    if (this.#told) return;
    this.#told = true;
    queueMicrotask(() => {
      this.#told = false;
      this.dispatchEvent(new Event("change"));
    });
  }
}
