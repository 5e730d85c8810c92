/** The base of all models: fires `change` when there is something new to show, at most once a turn. */
export class Model extends EventTarget {
  #told = false;

  /** Fire `change` soon. */
  changed(): void {
    if (this.#told) return;
    this.#told = true;
    queueMicrotask(() => {
      this.#told = false;
      this.dispatchEvent(new Event("change"));
    });
  }
}
