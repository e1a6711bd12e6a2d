/**
 * Handshake patterns as the specification writes them (revision 34, §7.4, §7.5, §18.1), and the modifiers that change
 * them: psk0–pskN (§9), fallback (§10.2), hfs (the draft "KEM-based Hybrid Forward Secrecy", revision 1, §5).
 */
import { malformed } from '../errors.js';

export type DhToken = 'ee' | 'es' | 'se' | 'ss';
export type Token = 'e' | 's' | DhToken | 'psk' | 'e1' | 'ekem1';
export type PreToken = 'e' | 's';

export interface HandshakePattern {
  /** Public keys that the other side knows beforehand, in the order in which they are hashed. */
  readonly initiatorPre: readonly PreToken[];
  readonly responderPre: readonly PreToken[];
  /** Tokens of each message; the initiator sends the first, then they take turns. */
  readonly messages: readonly (readonly Token[])[];
  /** One-way patterns: after the handshake only the initiator sends. */
  readonly oneWay: boolean;
}

/** pre-messages, if any, before `...`; messages separated by `/`, the first one the initiator's. */
const TABLE = {
  // one-way, §7.4
  N: '<- s ... e es',
  K: '-> s <- s ... e es ss',
  X: '<- s ... e es s ss',
  // fundamental, §7.5
  NN: 'e / e ee',
  NK: '<- s ... e es / e ee',
  NX: 'e / e ee s es',
  KN: '-> s ... e / e ee se',
  KK: '-> s <- s ... e es ss / e ee se',
  KX: '-> s ... e / e ee se s es',
  XN: 'e / e ee / s se',
  XK: '<- s ... e es / e ee / s se',
  XX: 'e / e ee s es / s se',
  IN: 'e s / e ee se',
  IK: '<- s ... e es s ss / e ee se',
  IX: 'e s / e ee se s es',
  // deferred, §18.1
  NK1: '<- s ... e / e ee es',
  NX1: 'e / e ee s / es',
  X1N: 'e / e ee / s / se',
  X1K: '<- s ... e es / e ee / s / se',
  XK1: '<- s ... e / e ee es / s se',
  X1K1: '<- s ... e / e ee es / s / se',
  X1X: 'e / e ee s es / s / se',
  XX1: 'e / e ee s / es s se',
  X1X1: 'e / e ee s / es s / se',
  K1N: '-> s ... e / e ee / se',
  K1K: '-> s <- s ... e es / e ee / se',
  KK1: '-> s <- s ... e / e ee se es',
  K1K1: '-> s <- s ... e / e ee es / se',
  K1X: '-> s ... e / e ee s es / se',
  KX1: '-> s ... e / e ee se s / es',
  K1X1: '-> s ... e / e ee s / se es',
  I1N: 'e s / e ee / se',
  I1K: '<- s ... e es s / e ee / se',
  IK1: '<- s ... e s / e ee se es',
  I1K1: '<- s ... e s / e ee es / se',
  I1X: 'e s / e ee s es / se',
  IX1: 'e s / e ee se s / es',
  I1X1: 'e s / e ee s / se es',
} as const;

export type PatternName = keyof typeof TABLE;

export const PATTERN_NAMES = Object.keys(TABLE) as PatternName[];

export function isPatternName(name: string): name is PatternName {
  return Object.hasOwn(TABLE, name);
}

/** Without modifiers. */
export function basePattern(name: PatternName): HandshakePattern {
  const row: string = TABLE[name];
  const [pre, body] = row.includes('...') ? (row.split(' ... ') as [string, string]) : ['', row];
  return {
    initiatorPre: pre.includes('-> s') ? ['s'] : [],
    responderPre: pre.includes('<- s') ? ['s'] : [],
    messages: body.split(' / ').map(message => message.split(' ') as Token[]),
    oneWay: name.length === 1,
  };
}

/**
 * @param modifiers in the order of the name, e.g. `['hfs', 'psk0']`
 * @throws WarrenError `malformed` when a modifier is unknown or does not fit the pattern
 */
export function modifiedPattern(name: PatternName, modifiers: readonly string[]): HandshakePattern {
  let pattern = basePattern(name);
  for (const modifier of modifiers) {
    if (modifier === 'hfs') pattern = withHfs(pattern);
    else if (modifier === 'fallback') pattern = withFallback(pattern);
    else if (/^psk[0-9]$/.test(modifier)) pattern = withPsk(pattern, Number(modifier.at(-1)));
    else throw malformed('Noise name', `no modifier is called "${modifier}"`);
  }
  return pattern;
}

/** psk0 stands at the start of the first message, pskN at the end of the Nth (§9.4). */
function withPsk(pattern: HandshakePattern, place: number): HandshakePattern {
  if (place > pattern.messages.length) {
    throw malformed('Noise name', `psk${place} in a handshake of ${pattern.messages.length} messages`);
  }
  const messages = pattern.messages.map((tokens, i): readonly Token[] => {
    if (place === 0 && i === 0) return ['psk', ...tokens];
    return i === place - 1 ? [...tokens, 'psk'] : tokens;
  });
  return { ...pattern, messages };
}

/**
 * The initiator's first message becomes a pre-message, its responder begins (§10.2). The roles change places, so the
 * DH tokens do too: their letters stand for initiator and responder.
 */
function withFallback(pattern: HandshakePattern): HandshakePattern {
  const [first, ...rest] = pattern.messages;
  const shown = first!.filter(token => token === 'e' || token === 's');
  if (rest.length === 0 || shown.length !== first!.length) {
    throw malformed('Noise name', 'fallback of a first message with more than public keys');
  }
  return {
    initiatorPre: pattern.responderPre,
    responderPre: [...pattern.initiatorPre, ...shown],
    messages: rest.map(tokens => tokens.map(swapped)),
    oneWay: false,
  };
}

function swapped(token: Token): Token {
  if (token === 'es') return 'se';
  return token === 'se' ? 'es' : token;
}

/**
 * `e1` follows the first `e`, or the DH that follows that `e`, so that it goes encrypted where it can; `ekem1` follows
 * the first `ee`.
 */
function withHfs(pattern: HandshakePattern): HandshakePattern {
  const [first, ...rest] = pattern.messages;
  const answer = rest.findIndex(tokens => tokens.includes('ee'));
  if (!first!.includes('e') || answer < 0)
    throw malformed('Noise name', 'hfs needs an e in the first message and an ee in a later one');
  const keyAt = first!.indexOf('e') + 1;
  const isDh = ['es', 'ss'].includes(first![keyAt] ?? '');
  const messages = rest.map((tokens, i) => (i === answer ? insert(tokens, tokens.indexOf('ee') + 1, 'ekem1') : tokens));
  return { ...pattern, messages: [insert(first!, isDh ? keyAt + 1 : keyAt, 'e1'), ...messages] };
}

function insert(tokens: readonly Token[], at: number, token: Token): readonly Token[] {
  return [...tokens.slice(0, at), token, ...tokens.slice(at)];
}
