/** The language of the page: the one that the person chose here, otherwise the first of the browser's that it has. */

import { known, remember } from "../model/memory.js";
import { Model } from "../model/model.js";
import { en, type Texts } from "./en.js";

export type Code = "en" | "de" | "es";

/** The other languages are loaded when they are used. */
const LOAD: Record<Code, () => Texts | Promise<Texts>> = {
  en: () => en,
  de: async () => (await import("./de.js")).de,
  es: async () => (await import("./es.js")).es,
};
/** The languages, with their own names. */
export const LANGUAGES: Readonly<Record<Code, string>> = { en: "English", de: "Deutsch", es: "Español" };
const KEY = "language";

/** Return the first language of the browser that the page has. */
export function preferred(tags: readonly string[]): Code {
  const codes = tags.map((tag) => tag.toLowerCase().split("-")[0]!);
  return (codes.find((code) => code in LANGUAGES) as Code | undefined) ?? "en";
}

/** The language that is shown. It fires `change` when another one is. */
class Language extends Model {
  code: Code = "en";
  texts: Texts = en;
  #wanted: Code = "en";

  /** Show a language, once its texts are here. */
  async show(code: Code): Promise<void> {
    this.#wanted = code;
    const texts = await LOAD[code]();
    if (this.#wanted !== code) return; // the person has chosen again meanwhile
    this.code = code;
    this.texts = texts;
    if (typeof document !== "undefined") document.documentElement.lang = code;
    this.changed();
  }

  /** Show a language, and remember it. */
  async choose(code: Code): Promise<void> {
    remember(KEY, code);
    await this.show(code);
  }

  /** Show the language of the person, or English if its texts cannot be loaded. */
  async begin(): Promise<void> {
    const chosen = known(KEY);
    const code = chosen in LANGUAGES ? (chosen as Code) : preferred(navigator.languages ?? []);
    await this.show(code).catch(() => this.show("en"));
  }

  /** Return the tag for times: the browser's own if it is of this language. */
  get tag(): string {
    const own = navigator.languages?.find((tag) => tag.toLowerCase().startsWith(this.code));
    return own ?? this.texts.language.tag;
  }
}

export const language = new Language();

/** Return the texts of the language that is shown. */
export function words(): Texts {
  return language.texts;
}
