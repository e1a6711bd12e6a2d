/** Why a connection ended or could not be made, in the words of the log. */
import { WarrenError } from '../../protocol/errors.js';

export const CLOSED_BY_PEER = 'closed by the other side';
export const CLOSED_HERE = 'closed by this side';

const WORDS: Readonly<Record<string, string>> = {
  ECONNRESET: 'connection reset by the other side',
  EPIPE: 'connection closed by the other side while sending',
  ETIMEDOUT: 'connection timed out',
  ECONNREFUSED: 'connection refused',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  EADDRNOTAVAIL: 'no address on this host can reach it',
  ENOTFOUND: 'the host name is unknown',
  EAI_AGAIN: 'the host name could not be looked up',
};

/** A few words, no stack, no secret. */
export function reasonOf(error: unknown): string {
  if (error instanceof WarrenError) return error.message;
  if (!(error instanceof Error)) return String(error);
  const code = (error as NodeJS.ErrnoException).code;
  return (code === undefined ? undefined : WORDS[code]) ?? error.message;
}
