/** Figures and times as people read them. */

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** @param seconds ≥ 0; two units at most: "45 s", "3 min", "2 h 5 min", "4 d 1 h" */
export function formatDuration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < MINUTE) return `${s} s`;
  if (s < HOUR) return `${Math.floor(s / MINUTE)} min`;
  if (s < DAY) return two(s, HOUR, 'h', MINUTE, 'min');
  return two(s, DAY, 'd', HOUR, 'h');
}

function two(s: number, big: number, bigName: string, small: number, smallName: string): string {
  const rest = Math.floor((s % big) / small);
  return `${Math.floor(s / big)} ${bigName}${rest === 0 ? '' : ` ${rest} ${smallName}`}`;
}

/** @param iso a time in ISO 8601, @param now ms since the epoch; time from then to now, never negative */
export function formatSince(iso: string, now: number): string {
  const then = Date.parse(iso);
  return Number.isNaN(then) ? '?' : formatDuration((now - then) / 1000);
}

/** Time from now until then, "expired" when it is over. */
export function formatUntil(iso: string, now: number): string {
  const then = Date.parse(iso);
  if (Number.isNaN(then)) return '?';
  return then <= now ? 'expired' : formatDuration((then - now) / 1000);
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** "512 B", "1.5 KiB", "23 MiB" */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 10 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** "0.42 ms", "12 ms", "–" when unknown */
export function formatRtt(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '–';
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

const SHORT_ID = 12;

/** The beginning of a node ID: enough to tell nodes apart by eye. */
export function shortId(id: string): string {
  return id.length > SHORT_ID ? `${id.slice(0, SHORT_ID)}…` : id;
}
