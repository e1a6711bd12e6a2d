/** What can be wrong with a request as HTTP, and how any error becomes an ErrorReply. */
import { API_VERSION, HTTP_STATUS, type ErrorReply } from '../../protocol/admin/contract.js';
import { WarrenError, type ErrorCode } from '../../protocol/errors.js';

/** An error with a status of its own. */
export class RequestProblem extends WarrenError {
  constructor(
    readonly status: number,
    code: ErrorCode,
    sentence: string,
    hint: string,
    /** value of the Allow header */
    readonly allow?: string,
  ) {
    super(code, sentence, { hint });
  }
}

const CONTRACT = 'the client may be older or newer than the daemon: warren restart';

export function badRequest(sentence: string): RequestProblem {
  return new RequestProblem(400, 'malformed', sentence, CONTRACT);
}

export function notFound(path: string): RequestProblem {
  return new RequestProblem(
    404,
    'not-found',
    `the admin API has no path ${JSON.stringify(path.slice(0, 80))}`,
    CONTRACT,
  );
}

export function wrongMethod(method: string, allowed: readonly string[]): RequestProblem {
  const allow = allowed.join(', ');
  return new RequestProblem(405, 'usage', `the admin API has no ${method} for this path`, `use ${allow}`, allow);
}

export function tooLarge(): RequestProblem {
  return new RequestProblem(413, 'limit', 'the request body is too large', 'send less: 64 KiB is the most');
}

export function statusOf(error: unknown): number {
  if (error instanceof RequestProblem) return error.status;
  return error instanceof WarrenError ? (HTTP_STATUS[error.code] ?? 500) : 500;
}

/** Errors that are not the project's own may hold anything, so nothing of them is told. */
export function toErrorReply(error: unknown): ErrorReply {
  const told =
    error instanceof WarrenError
      ? error
      : new WarrenError('internal', 'something went wrong inside the daemon', {
          hint: 'look for admin-failed in `warren logs`',
        });
  const { code, message, hint } = told;
  return { apiVersion: API_VERSION, error: { code, message, ...(hint === undefined ? {} : { hint }) } };
}
