/** `warren logs`: the daemon's log lines, for people, or as they are with `--json`. */
import { once } from 'node:events';
import { API_VERSION, PATHS, type LogLine } from '../../protocol/admin/contract.js';
import type { Context, Options } from '../context.js';
import { escapeJson, clean } from '../output/text.js';
import { parseCount } from '../values.js';

/** What the daemon keeps at hand. */
const LINES_MAX = 2_000;
/** Shown in a place of their own, or of no use to a reader. */
const PLAIN_FIELDS = new Set(['time', 'level', 'event', 'msg', 'pid', 'hostname', 'v']);

export async function logs(context: Context, options: Options): Promise<void> {
  const lines = parseCount(String(options.lines), 'number of lines', 0, LINES_MAX);
  const follow = options.follow === true;
  const source = context.client.lines(`${PATHS.logs}?lines=${lines}${follow ? '&follow=1' : ''}`);
  if (context.json && !follow) return context.document({ apiVersion: API_VERSION, lines: await all(source) });
  for await (const line of source) await write(context, context.json ? escapeJson(line) : format(context, line));
}

async function all(source: AsyncIterable<string>): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for await (const line of source) {
    const parsed = parse(line);
    if (parsed !== undefined) lines.push(parsed);
  }
  return lines;
}

function parse(line: string): LogLine | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as LogLine) : undefined;
  } catch {
    return undefined;
  }
}

async function write({ world }: Context, line: string): Promise<void> {
  if (!world.stdout.write(`${line}\n`)) await once(world.stdout, 'drain');
}

/** `2026-01-31T12:00:00.000Z warn  dial-failed  the message  peer=host-b` */
function format({ colour }: Context, line: string): string {
  const entry = parse(line);
  if (entry === undefined) return clean(line);
  const paint =
    { debug: colour.dim, info: colour.green, warn: colour.yellow, error: colour.red }[entry.level] ?? String;
  const fields = Object.entries(entry)
    .filter(([name]) => !PLAIN_FIELDS.has(name))
    .map(([name, value]) =>
      colour.dim(clean(`${name}=${typeof value === 'string' ? quoted(value) : JSON.stringify(value)}`)),
    );
  return [
    colour.dim(clean(String(entry.time))),
    paint(clean(String(entry.level)).padEnd(5)),
    colour.cyan(clean(String(entry.event ?? '-'))),
    clean(String(entry.msg ?? '')),
    ...fields,
  ].join(' ');
}

function quoted(text: string): string {
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}
