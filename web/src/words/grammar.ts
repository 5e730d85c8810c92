/** Numbers, plurals and lists of one language. */

export interface Grammar {
  /** Return a number as it is written, with so many digits after the point. */
  number(value: number, digits?: number): string;
  /** Return a number and its noun: the first form for one, the second for others. */
  count(value: number, one: string, other: string): string;
  /** Return one of two forms, by the number. */
  form(value: number, one: string, other: string): string;
  /** Return names as a list: "Ada, Ben and Cy". */
  list(names: readonly string[]): string;
}

/** Return the grammar of a language, by its tag. */
export function grammar(tag: string): Grammar {
  const rules = new Intl.PluralRules(tag);
  const lists = new Intl.ListFormat(tag, { type: "conjunction" });
  const number = (value: number, digits = 0) =>
    value.toLocaleString(tag, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const form = (value: number, one: string, other: string) => (rules.select(value) === "one" ? one : other);
  return {
    number,
    form,
    count: (value, one, other) => `${number(value)} ${form(value, one, other)}`,
    list: (names) => lists.format(names),
  };
}
