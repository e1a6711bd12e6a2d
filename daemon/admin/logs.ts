/** GET /v1/logs: recent lines, and with follow=1 those to come, until one side ends. */
import type { ServerResponse } from 'node:http';
import type { LogSource } from './api.js';
import type { LogsQuery } from './validate.js';

/** What may wait for a client that reads slowly; beyond, it is cut off: the daemon's memory is not its buffer. */
const MAX_WAITING_BYTES = 1024 * 1024;

/** @returns ends a following reply; undefined when the reply is complete */
export function serveLogs(response: ServerResponse, source: LogSource, query: LogsQuery): (() => void) | undefined {
  response.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store' });
  const recent = source.recent(query.lines).map(line => `${line}\n`);
  if (!query.follow) {
    response.end(recent.join(''));
    return undefined;
  }
  response.flushHeaders();
  if (recent.length > 0) response.write(recent.join(''));
  const initial = response.writableLength;
  const stop = source.follow(line => {
    if (response.writableLength > initial + MAX_WAITING_BYTES) response.destroy();
    else if (!response.destroyed) response.write(`${line}\n`);
  });
  response.once('close', stop);
  return () => {
    stop();
    response.end();
  };
}
