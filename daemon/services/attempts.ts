/**
 * One connection's search for an instance: the best one first, the next one when it certainly did not reach its target.
 */
import type { Code } from '../../protocol/codes.js';
import { WarrenError, type ErrorCode } from '../../protocol/errors.js';
import { errorFields } from '../observe/log.js';
import type { Balancer } from './balancer.js';
import { codeHint, codeWords } from './code-words.js';
import { MAX_ATTEMPTS } from './limits.js';
import { openLocal, type Answerer } from './local-stream.js';
import type { Instance, Mesh, OpenRequest, ServiceStream, StreamHandler } from './mesh.js';

export interface AttemptsOptions {
  readonly mesh: Mesh;
  /** answers streams to this daemon's own services */
  readonly local: Answerer;
  readonly balancer: Balancer;
}

/** Why an instance does not serve this stream, though another one may: its answers, and ends of the session with it. */
const TRY_ANOTHER: ReadonlySet<Code> = new Set<Code>([
  'no-service',
  'denied',
  'refused',
  'limit',
  'draining',
  'going-away',
  'peer-restarted',
  'grace-over',
  'removed',
]);

export class Attempts {
  /** why the last instance did not serve */
  code: Code = 'no-service';
  /** what kept the stream from being opened at all, for the log */
  problem: ReturnType<typeof errorFields> | undefined;
  /** the instance in question */
  instance: Instance | undefined;
  private readonly candidates: readonly Instance[];
  private at = 0;

  constructor(
    private readonly options: AttemptsOptions,
    private readonly request: OpenRequest,
  ) {
    this.candidates = options.balancer.order(options.mesh.instances(request.service)).slice(0, MAX_ATTEMPTS);
  }

  /** Opens a stream to the next instance that can be reached; undefined when none is left. */
  next(handler: StreamHandler): ServiceStream | undefined {
    const { mesh, local, balancer } = this.options;
    for (;;) {
      const instance = this.candidates[this.at++];
      if (instance === undefined) return undefined;
      this.instance = instance;
      this.problem = undefined;
      try {
        const stream = instance.local
          ? openLocal(local, this.request, mesh.self, handler)
          : mesh.open(instance.node, this.request, handler);
        balancer.picked(instance);
        return stream;
      } catch (error) {
        this.problem = errorFields(error);
        const { code } = this.problem;
        this.code = code === 'limit' ? 'limit' : code === 'unreachable' ? 'refused' : 'internal';
      }
    }
  }

  /** The stream was refused before it was opened. @returns whether another instance may be asked, no byte being lost */
  refused(code: Code, dialed: boolean): boolean {
    this.code = code;
    return !dialed && TRY_ANOTHER.has(code);
  }

  /** What to tell whoever asked for the stream. */
  failure(): WarrenError {
    const { service } = this.request;
    if (this.instance === undefined)
      return new WarrenError('not-found', `Nobody exposes the service ${service} now.`, {
        hint: 'See what there is with: warren services',
      });
    if (this.problem?.code === 'unreachable')
      return new WarrenError('unreachable', `${service} on ${this.instance.name}: that node is not connected.`, {
        hint: 'See how the nodes are connected with: warren peers',
      });
    const code = ERROR_CODE.get(this.code) ?? 'unreachable';
    return new WarrenError(code, `${service} on ${this.instance.name}: ${codeWords(this.code)}.`, {
      hint: codeHint(this.code),
    });
  }
}

/** What the codes of streams are as errors of the admin API; others are `unreachable`. */
export const ERROR_CODE = new Map<Code, ErrorCode>([
  ['denied', 'denied'],
  ['no-service', 'not-found'],
  ['limit', 'limit'],
  ['dial-timeout', 'timeout'],
]);
