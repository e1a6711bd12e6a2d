/**
 * The run that docs/protocol.md shows, computed: two nodes with fixed keys found a network, shake hands twice, and
 * exchange their first records. All randomness is a row of fill bytes, so that another implementation can repeat it.
 */
import { EMPTY, concat, toHex, utf8, writeVarint } from '../../protocol/bytes.js';
import type { Random } from '../../protocol/clock.js';
import { loadPrimitives } from '../../protocol/crypto/load.js';
import type { Primitives } from '../../protocol/crypto/primitives.js';
import { encodeAdmit } from '../../protocol/handshake/admission-frames.js';
import { Initiator, Responder } from '../../protocol/handshake/handshake.js';
import { encodePayload, unpad } from '../../protocol/handshake/payload.js';
import { encodeVersionReply, pskKeys, recognize, toSubprotocol } from '../../protocol/handshake/preface.js';
import { ReplayGuard } from '../../protocol/handshake/replay.js';
import type { Established, HandshakeContext, LocalIdentity } from '../../protocol/handshake/types.js';
import { encodeInvite } from '../../protocol/identity/invite.js';
import { foundNetwork, issueGrant, type Pen } from '../../protocol/identity/issue.js';
import { secretHash } from '../../protocol/identity/network-secret.js';
import { nodeIdText } from '../../protocol/identity/node-id.js';
import { createInception, decodeStatement, type NewKeys } from '../../protocol/identity/statement.js';
import { TrustStore } from '../../protocol/identity/trust-store.js';
import { DEFAULT_LIMITS } from '../../protocol/limits.js';
import {
  FRAME,
  encodeAttach,
  encodeLinkAck,
  encodeOpen,
  encodeOpened,
  encodePool,
  encodeWindow,
  frameLength,
  writeDataHeader,
} from '../../protocol/link/frame.js';
import { RecordOpener, RecordSealer } from '../../protocol/link/record.js';
import { SessionSecrets } from '../../protocol/session/secrets.js';
import { announce } from '../../daemon/discovery/mdns.js';
import { VirtualTime } from '../helpers/virtual-time.js';
import { putKeys } from './worked-keys.js';

/** ms since the epoch at which everything in the example happens. */
export const EXAMPLE_TIME = 1_800_000_000_000;

/** Each call takes the next byte and gives it n times over. */
function fills(...bytes: readonly number[]): Random {
  const left = [...bytes];
  return n => {
    const byte = left.shift();
    if (byte === undefined) throw new Error('the example asks for more randomness than it has');
    return new Uint8Array(n).fill(byte);
  };
}

interface Example {
  readonly values: Map<string, string>;
  /** Stores the value under the name by which the document shows it. */
  put(name: string, value: Uint8Array | string): void;
}

/** Hex in full up to this many bytes; else both ends, the length and the SHA-256. */
const SHOWN_IN_FULL = 768;
const SHOWN_AT_ENDS = 16;

function shown(primitives: Primitives, bytes: Uint8Array): string {
  if (bytes.length <= SHOWN_IN_FULL) return toHex(bytes);
  const ends = `${toHex(bytes.subarray(0, SHOWN_AT_ENDS))}...${toHex(bytes.subarray(-SHOWN_AT_ENDS))}`;
  return `${ends} ${bytes.length} bytes, sha256 ${toHex(primitives.hash.SHA256.hash(bytes))}`;
}

/** What both nodes are, and what they know of each other. */
export interface Members {
  readonly founder: NewKeys;
  readonly member: NewKeys;
  readonly secret: Uint8Array;
  readonly grant: Uint8Array;
  readonly store: TrustStore;
}

function makeMembers(primitives: Primitives, clock: VirtualTime, { put }: Example): Members {
  const now = clock.now();
  const founded = foundNetwork({ ...primitives, random: fills(0x01, 0x02, 0x03, 0x04) }, { now, name: 'alpha' });
  const founder = founded.keys;
  const member = createInception({ ...primitives, random: fills(0x11, 0x12, 0x13) }, { now });
  const store = new TrustStore({ primitives, clock, networkId: founded.networkId });
  store.addAll([...founded.items, { kind: 'statement', bytes: member.statement }]);
  const pen: Pen = { primitives, signer: { node: founder.nodeId, seq: 0, seed: founder.signing.privateKey }, now };
  const grant = issueGrant(store, pen, { node: member.nodeId, name: 'beta', tags: ['web'] });
  store.add(grant);
  putMember(primitives, put, 'founder', founder);
  putMember(primitives, put, 'member', member);
  put('grant', grant.bytes);
  put('network secret hash', secretHash(primitives.hash.SHA256, founded.networkSecret));
  put('trust digest', store.digest());
  put('summary', store.summary());
  return { founder, member, secret: founded.networkSecret, grant: grant.bytes, store };
}

function putMember(primitives: Primitives, put: Example['put'], who: string, keys: NewKeys): void {
  put(`${who} signing key`, keys.signing.publicKey);
  put(`${who} noise key`, keys.noise.publicKey);
  put(`${who} statement body`, decodeStatement(primitives, keys.statement).envelope.body);
  put(`${who} statement`, keys.statement);
  put(`${who} node id`, keys.nodeId);
  put(`${who} node id text`, nodeIdText(keys.nodeId));
}

function putInvite(primitives: Primitives, members: Members, { put }: Example): void {
  const invite = {
    network: members.founder.nodeId,
    inviter: members.founder.nodeId,
    addresses: ['192.0.2.1:7667'],
    secret: new Uint8Array(32).fill(0x21),
    expires: EXAMPLE_TIME + 3_600_000,
    tags: ['web'],
  };
  put('invite', encodeInvite(primitives.hash.SHA256, invite));
}

function putDerived(primitives: Primitives, secret: Uint8Array, { put }: Example): void {
  const keys = pskKeys(primitives, { secret, kind: 'network' });
  put('hint key', keys.hintKey);
  put('psk ChaChaPoly', keys.noisePsk.ChaChaPoly);
  put('psk AESGCM', keys.noisePsk.AESGCM);
  const mac = (data: Uint8Array): Uint8Array => primitives.hash.SHA256.hmac(keys.hintKey, data);
  const { n, m } = announce(mac, new Uint8Array(16).fill(0x22), 7667);
  put('mdns txt', `n=${n} m=${m}`);
}

export interface Shaken {
  readonly dialed: Established;
  readonly accepted: Established;
  readonly preface: Uint8Array;
  /** as they travel, lengths in front included */
  readonly messages: readonly Uint8Array[];
}

/** The member dials the founder. @param first fill byte of the preface's nonce; the others follow */
function shake(primitives: Primitives, clock: VirtualTime, members: Members, first: number): Shaken {
  const keys = pskKeys(primitives, { secret: members.secret, kind: 'network' });
  const network = members.founder.nodeId;
  const context = (own: NewKeys, random: Random, grant?: Uint8Array): HandshakeContext => {
    const { nodeId, noise, statement } = own;
    const identity: LocalIdentity = { nodeId, network, noise, statement, ...(grant && { grant }) };
    const digest = (): Uint8Array => members.store.digest();
    return { primitives: { ...primitives, random }, clock, identity: () => identity, digest, log: () => undefined };
  };
  const dialer = context(members.member, fills(first, first + 1, first + 2), members.grant);
  const acceptor = context(members.founder, fills(first + 3, first + 4));
  const initiator = new Initiator(dialer, { suite: 'ChaChaPoly', psk: keys });
  const message1 = initiator.first();
  const replay = new ReplayGuard(clock);
  const recognized = recognize(acceptor, initiator.preface, [keys], replay);
  if (recognized?.kind !== 'known') throw new Error('the preface is not recognized');
  const responder = new Responder(acceptor, recognized, initiator.preface, replay);
  const second = responder.push(message1);
  if (second.kind !== 'send') throw new Error('no message 2');
  const third = initiator.push(second.bytes);
  if (third.kind !== 'established' || !third.send) throw new Error('no message 3');
  const last = responder.push(third.send);
  if (last.kind !== 'established') throw new Error('not established');
  const messages = [message1, second.bytes, third.send];
  return { dialed: third.established, accepted: last.established, preface: initiator.preface, messages };
}

/** The CBOR of payload 2 or 3. */
function payloadOf(members: Members, own: NewKeys, grant?: Uint8Array): Uint8Array {
  const network = members.founder.nodeId;
  const digest = members.store.digest();
  const { statement } = own;
  return unpad(
    encodePayload({ highestVersion: 1, network, statement, grant, clockMs: EXAMPLE_TIME, features: 0, digest }),
  );
}

function putHandshake(primitives: Primitives, members: Members, shaken: Shaken, { put }: Example): void {
  const keys = pskKeys(primitives, { secret: members.secret, kind: 'network' });
  const { dialed, preface, messages } = shaken;
  put('preface', preface);
  put('subprotocol', toSubprotocol(preface));
  put('version reply', encodeVersionReply(primitives, keys, preface, { oldest: 2, newest: 3 }));
  put('payload 2', payloadOf(members, members.founder));
  put('payload 3', payloadOf(members, members.member, members.grant));
  messages.forEach((message, i) => put(`message ${i + 1}`, message));
  put('handshake hash', dialed.handshakeHash);
  put('key to acceptor', dialed.sendKey);
  put('key to dialer', dialed.receiveKey);
  put('exporter', dialed.exporter);
}

function frame(type: number, body: Uint8Array): Uint8Array {
  const out = new Uint8Array(frameLength(type, body.length));
  const at = writeVarint(out, writeVarint(out, 0, type), body.length);
  out.set(body, at);
  return out;
}

function dataFrame(stream: number, offset: number, payload: Uint8Array): Uint8Array {
  const head = new Uint8Array(32);
  return concat(head.subarray(0, writeDataHeader(head, 0, stream, offset, payload.length)), payload);
}

/** The plaintexts that go each way, in order. */
export function exampleRecords(): { readonly toAcceptor: Uint8Array[]; readonly toDialer: Uint8Array[] } {
  const open = encodeOpen({
    stream: 0,
    class: 'interactive',
    claim: 4096,
    limit: 65536,
    service: 'web',
    instance: '',
    metadata: new Map([['source', '127.0.0.1:50000']]),
  });
  const admit = frame(FRAME.ADMIT, encodeAdmit({ standing: 'admitted', code: 'no-error' }));
  return {
    toAcceptor: [
      concat(admit, frame(FRAME.NEW, EMPTY), frame(FRAME.POOL, encodePool(65536))),
      concat(
        frame(FRAME.LINKACK, encodeLinkAck({ records: 1, delay: 250 })),
        frame(FRAME.POOL, encodePool(65536)),
        frame(FRAME.RESUMED, EMPTY),
        frame(FRAME.OPEN, open),
        dataFrame(0, 0, utf8('hello')),
      ),
    ],
    toDialer: [
      concat(admit, frame(FRAME.NEW_OK, EMPTY), frame(FRAME.POOL, encodePool(65536)), frame(FRAME.RESUMED, EMPTY)),
      concat(
        frame(FRAME.OPENED, encodeOpened({ stream: 0, limit: 65536 })),
        frame(FRAME.WINDOW, encodeWindow({ stream: 0, received: 5, limit: 65541 })),
        dataFrame(0, 0, utf8('world')),
      ),
    ],
  };
}

function putRecords(primitives: Primitives, { dialed, accepted }: Shaken, { put }: Example): void {
  const aead = primitives.aead.ChaChaPoly;
  const { toAcceptor, toDialer } = exampleRecords();
  const way = (name: string, from: Established, to: Established, plaintexts: readonly Uint8Array[]): void => {
    const sealer = new RecordSealer(aead, from.sendKey, DEFAULT_LIMITS.record);
    const opened: Uint8Array[] = [];
    const opener = new RecordOpener(aead, to.receiveKey, DEFAULT_LIMITS.record, record => void opened.push(record));
    plaintexts.forEach((plaintext, i) => {
      const record = concat(...sealer.seal([plaintext]));
      opener.push(record);
      if (toHex(opened[i]!) !== toHex(plaintext)) throw new Error(`${name} ${i} does not open`);
      put(`frames ${name} ${i}`, plaintext);
      put(`record ${name} ${i}`, record);
    });
  };
  way('to acceptor', dialed, accepted, toAcceptor);
  way('to dialer', accepted, dialed, toDialer);
}

/** The second link attaches to the session of the first; the member has the smaller ID and decides. */
function putAttach(primitives: Primitives, first: Shaken, second: Shaken, { put }: Example): void {
  const { SHA256 } = primitives.hash;
  const decider = new SessionSecrets(SHA256, first.dialed);
  const other = new SessionSecrets(SHA256, first.accepted);
  const attach = decider.attach(second.dialed);
  const answer = other.accept(second.accepted, attach);
  if (!answer || !decider.isAnswer(second.dialed, answer.proof)) throw new Error('the attach fails');
  put('session id', decider.id);
  put('session secret', SHA256.hmac(first.dialed.exporter, utf8('warren session secret')));
  put('second handshake hash', second.dialed.handshakeHash);
  put('second exporter', second.dialed.exporter);
  put('attach frame', frame(FRAME.ATTACH, encodeAttach(attach)));
  put('attached frame', frame(FRAME.ATTACHED, answer.proof));
  put('next session secret', answer.candidate.secret);
}

export interface WorkedExample {
  readonly primitives: Primitives;
  readonly clock: VirtualTime;
  /** name → what the document shows under it */
  readonly values: ReadonlyMap<string, string>;
  readonly members: Members;
  readonly first: Shaken;
  /** what a node knows after the keys have changed */
  readonly keys: TrustStore;
}

/** Computes everything that the document shows. */
export async function workedExample(): Promise<WorkedExample> {
  const primitives = await loadPrimitives(fills());
  const clock = new VirtualTime(EXAMPLE_TIME);
  const values = new Map<string, string>();
  const put = (name: string, value: Uint8Array | string): void =>
    void values.set(name, typeof value === 'string' ? value : shown(primitives, value));
  const example: Example = { values, put };
  const members = makeMembers(primitives, clock, example);
  putInvite(primitives, members, example);
  putDerived(primitives, members.secret, example);
  const first = shake(primitives, clock, members, 0x31);
  putHandshake(primitives, members, first, example);
  putRecords(primitives, first, example);
  putAttach(primitives, first, shake(primitives, clock, members, 0x41), example);
  const items = members.store.items();
  const story = { founder: members.founder, member: members.member, items };
  const keys = putKeys(primitives, new VirtualTime(EXAMPLE_TIME + 3_600_000), story, EXAMPLE_TIME, put);
  return { primitives, clock, values, members, first, keys };
}
