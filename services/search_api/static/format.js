// Numbers as people read them.

/** Seconds with the unit that leaves one to three digits before the point. */
export function duration(seconds) {
  if (seconds >= 1) return `${number(seconds)} s`;
  if (seconds >= 0.001) return `${number(seconds * 1e3)} ms`;
  return `${number(seconds * 1e6)} µs`;
}

/** How long ago something was. */
export function age(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

/** Three significant digits, or as many as asked for. */
export function number(value, digits = 3) {
  return value.toLocaleString("en", { maximumSignificantDigits: digits });
}

/** A whole number, in full. */
export function count(value) {
  return value.toLocaleString("en");
}
