/** How loud a microphone is, and a sound to test a speaker with. */

/** Decibels of the quietest sound that shows. */
const QUIET = -60;
const SECONDS = 0.4;

/** Return the loudness of samples between -1 and 1: from 0, quiet, to 1. */
export function loudness(samples: Float32Array): number {
  const square = samples.reduce((sum, sample) => sum + sample * sample, 0) / Math.max(samples.length, 1);
  const decibels = 10 * Math.log10(Math.max(square, 1e-12));
  return Math.min(1, Math.max(0, 1 - decibels / QUIET));
}

/** Measures a track, with each picture of the screen. */
export class Level {
  readonly #shown: (loudness: number) => void;
  readonly #changed: () => void;
  #track: MediaStreamTrack | undefined;
  #context: AudioContext | undefined;
  #frame = 0;

  /** `changed` is called when it starts or stops to measure. */
  constructor(shown: (loudness: number) => void, changed: () => void) {
    this.#shown = shown;
    this.#changed = changed;
  }

  /** Whether it measures: some browsers do not without a speaker. */
  get runs(): boolean {
    return this.#context?.state === "running";
  }

  /** Measure this track from now on; undefined: nothing. */
  follow(track: MediaStreamTrack | undefined): void {
    if (track === this.#track) return;
    this.stop();
    if (!track) return;
    this.#track = track;
    const context = (this.#context = new AudioContext());
    context.addEventListener("statechange", () => this.#changed());
    const analyser = context.createAnalyser();
    analyser.fftSize = 1024;
    context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const look = () => {
      analyser.getFloatTimeDomainData(samples);
      this.#shown(loudness(samples));
      this.#frame = requestAnimationFrame(look);
    };
    look();
  }

  /** Measure nothing, and release what measures. */
  stop(): void {
    cancelAnimationFrame(this.#frame);
    void this.#context?.close();
    this.#context = this.#track = undefined;
  }
}

/** Play two tones on a speaker: the one with this id, or the browser's choice. */
export async function play(speaker: string): Promise<void> {
  const context = new AudioContext();
  const out = context.createMediaStreamDestination();
  const volume = context.createGain();
  volume.gain.value = 0.2;
  volume.connect(out);
  for (const [at, tone] of [523, 659].entries()) {
    const source = context.createOscillator();
    source.frequency.value = tone;
    source.connect(volume);
    source.start(context.currentTime + at * SECONDS);
    source.stop(context.currentTime + (at + 1) * SECONDS);
  }
  const audio = new Audio();
  audio.srcObject = out.stream;
  if (speaker) await audio.setSinkId?.(speaker).catch(() => undefined); // it is gone: the browser's choice then
  await audio.play().catch(() => undefined);
  setTimeout(() => void context.close(), 3 * SECONDS * 1000);
}
