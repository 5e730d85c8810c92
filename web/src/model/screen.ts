/** The screen, or a window or tab, that this person shows to the others. */

import { Model } from "./model.js";

/** The event `shown`: a screen is shown from now on. */
export class ShownEvent extends Event {
  constructor(readonly track: MediaStreamTrack) {
    super("shown");
  }
}

/** The event `hidden`: it is no longer shown. */
export class HiddenEvent extends Event {
  constructor(readonly track: MediaStreamTrack) {
    super("hidden");
  }
}

const WISH: DisplayMediaStreamOptions = { video: { frameRate: { ideal: 15, max: 30 } } };

/** See the module. */
export class Screen extends Model {
  readonly #media: Partial<MediaDevices> | undefined;
  #track: MediaStreamTrack | undefined;
  #asking = false;
  #over = false;

  constructor(media: Partial<MediaDevices> | undefined = globalThis.navigator?.mediaDevices) {
    super();
    this.#media = media;
  }

  /** Whether this browser can show a screen. Phones cannot. */
  get isPossible(): boolean {
    return !!this.#media?.getDisplayMedia;
  }

  /** The track, while it is shown. */
  get track(): MediaStreamTrack | undefined {
    return this.#track;
  }

  /**
   * Ask the person what to show, and show it.
   *
   * @throws DOMException the browser cannot; not if the person did not choose.
   */
  async show(): Promise<void> {
    if (!this.#media?.getDisplayMedia || this.#asking || this.#track) return;
    this.#asking = true;
    this.#over = false;
    try {
      const [track] = (await this.#media.getDisplayMedia(WISH)).getVideoTracks();
      if (!track) return;
      if (this.#over) return track.stop();
      track.contentHint = "detail";
      this.#track = track;
      // The browser has a button of its own that stops it.
      track.addEventListener("ended", () => this.#track === track && this.hide());
      this.dispatchEvent(new ShownEvent(track));
      this.changed();
    } catch (error) {
      if ((error as DOMException).name !== "NotAllowedError") throw error;
    } finally {
      this.#asking = false;
    }
  }

  /** Show it no longer. */
  hide(): void {
    this.#over = true;
    const track = this.#track;
    if (!track) return;
    this.#track = undefined;
    track.stop();
    this.dispatchEvent(new HiddenEvent(track));
    this.changed();
  }
}
