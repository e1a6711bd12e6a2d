/** What the admin socket asks about keys, roles and membership; the other half of api.ts. */
import { isAbsolute } from 'node:path';
import { entropyToMnemonic } from '@scure/bip39';
import { wordlist } from '@scure/bip39/wordlists/english.js';
import { API_VERSION } from '../protocol/admin/contract.js';
import type {
  Done,
  KeyLogReply,
  KeysReply,
  RotateReply,
  RotateRequest,
  SettleRequest,
} from '../protocol/admin/contract.js';
import { equal, fromHex, toHex } from '../protocol/bytes.js';
import { WarrenError } from '../protocol/errors.js';
import { fingerprint, nodeIdText, parseNodeId, type NodeId } from '../protocol/identity/node-id.js';
import type { RoleAction } from '../protocol/identity/role.js';
import type { Statement } from '../protocol/identity/statement.js';
import type { Parts } from './parts.js';
import { isoTime } from './peers/peer-info.js';

/** The fingerprint in words is that of so many bytes of the node ID, which is a hash: 12 words of BIP 39. */
const WORDS_FROM_BYTES = 16;

export class KeysApi {
  constructor(private readonly parts: Parts) {}

  show(): KeysReply {
    const { network, keyring } = this.parts;
    const { head } = keyring;
    const grant = network.trust.lastGrantOf(network.nodeId);
    return {
      apiVersion: API_VERSION,
      node: {
        id: nodeIdText(network.nodeId),
        name: network.name,
        fingerprint: fingerprint(network.nodeId),
        words: entropyToMnemonic(network.nodeId.slice(0, WORDS_FROM_BYTES), wordlist),
      },
      network: { id: nodeIdText(network.networkId) },
      seq: head.seq,
      hash: toHex(head.hash),
      since: isoTime(head.time),
      grantExpires: grant === undefined ? null : isoTime(grant.expires),
      nextKey: this.nextKey(),
      nextKeyFile: keyring.nextFile ?? null,
    };
  }

  private nextKey(): string {
    const { keyring, network } = this.parts;
    if (keyring.isNextHere) return 'in this home, beside the current one';
    const file = keyring.nextFile;
    if (file === undefined) return 'not in this home';
    return keyring.isNextFileOfAnother(network.networkId)
      ? `in ${file}, which names a network that this node has left; write it anew: warren keys rotate --next-key ${file}`
      : `in ${file}`;
  }

  log(): KeyLogReply {
    // What this home has made itself: others may have been taken for this node.
    const { keyring } = this.parts;
    const statements = Array.from({ length: keyring.seq + 1 }, (_, seq) => keyring.statementAt(seq)!);
    return { apiVersion: API_VERSION, statements: statements.map(statementInfo) };
  }

  /** @throws WarrenError `bad-value`, `not-admin`, `in-use`, `disk`, `limit` */
  async rotate(request: RotateRequest): Promise<RotateReply> {
    const { network, rotations } = this.parts;
    const { reason = 'routine', nextFile, passphrase, affirm, networkSecret = false } = request;
    if (nextFile !== undefined) checkFile(nextFile);
    const isForKeys = !networkSecret || request.reason !== undefined || nextFile !== undefined;
    if (networkSecret && !network.isAdmin) throw notAdmin('renew the network secret');
    const rotated = isForKeys
      ? await rotations.rotate({
          reason,
          ...(nextFile !== undefined && { nextFile }),
          ...(passphrase !== undefined && { passphrase }),
          ...(affirm !== undefined && { affirm }),
        })
      : undefined;
    if (networkSecret) network.renewSecret();
    const { head } = this.parts.keyring;
    return {
      apiVersion: API_VERSION,
      seq: head.seq,
      hash: toHex(head.hash),
      reason: isForKeys ? reason : null,
      nextKey: this.nextKey(),
      networkSecretEpoch: networkSecret ? (network.trust.secrets()[0]?.epoch ?? 0) : null,
      notAffirmed: (rotated?.notAffirmed ?? []).map(node => network.nameOf(node)),
    };
  }

  /** A rotation whose following key goes to a new file and never lies in this home. */
  async detachNext(file: string, passphrase: string | undefined): Promise<RotateReply> {
    checkFile(file);
    if (!this.parts.keyring.isNextHere)
      throw new WarrenError('exists', `The next key is not in this home: it is ${this.nextKey()}.`, {
        hint: 'Nothing is to be done. A rotation replaces it: warren keys rotate --next-key FILE',
      });
    return this.rotate({ reason: 'routine', nextFile: file, ...(passphrase !== undefined && { passphrase }) });
  }

  // Other nodes.

  /** @param who a name, a node ID, or the ID of a node that is no member any more */
  revoke(who: string): Done {
    const { network } = this.parts;
    const node = this.nodeOf(who);
    const name = network.nameOf(node);
    if (equal(node, network.nodeId))
      throw new WarrenError('bad-value', 'a node cannot revoke itself', {
        hint: 'run it on another admin; or leave the network by ending this daemon for good',
      });
    if (!network.isAdmin) throw notAdmin('revoke a node');
    network.authority.revoke(node);
    return { apiVersion: API_VERSION, done: true, note: `${name} is revoked; every node refuses it as it hears of it` };
  }

  setRole(who: string, action: RoleAction): Done {
    const { network } = this.parts;
    if (!network.isAdmin) throw notAdmin(`${action} a node`);
    const node = this.nodeOf(who);
    const name = network.nameOf(node);
    network.authority.setRole(node, action);
    const note = action === 'promote' ? `${name} is an admin now` : `${name} is no admin any more`;
    return { apiVersion: API_VERSION, done: true, note };
  }

  /** @throws WarrenError `not-admin`, `not-found` when there is no such fork or branch */
  settle(who: string, { standing }: SettleRequest): Done {
    const { network } = this.parts;
    if (!network.isAdmin) throw notAdmin('settle a fork');
    const node = this.nodeOf(who);
    const fork = network.trust.openForks().find(f => equal(f.node, node));
    const name = network.nameOf(node);
    if (fork === undefined)
      throw new WarrenError('not-found', `The key log of ${name} has no open fork.`, { hint: 'See: warren doctor' });
    const wanted = standing.toLowerCase();
    const hash = fork.branches.find(({ hash }) => toHex(hash).startsWith(wanted))?.hash ?? wholeHash(wanted);
    if (hash === undefined)
      throw new WarrenError('not-found', `No branch of the fork of ${name} has a statement with that hash.`, {
        hint: `They are ${fork.branches.map(({ hash }) => toHex(hash)).join(' and ')}; the owner's: warren keys log`,
      });
    network.authority.settle(node, hash);
    return { apiVersion: API_VERSION, done: true, note: `the branch ${toHex(hash)} of ${name} stands` };
  }

  /** @throws WarrenError `not-found` */
  nodeOf(who: string): NodeId {
    const { network } = this.parts;
    try {
      return network.resolve(who);
    } catch (error) {
      const former = network.trust.formerNode(who) ?? knownById(this.parts, who);
      if (former !== undefined) return former;
      throw error;
    }
  }
}

/** A thief can make any number of branches, and a proof shows two: the owner's may be none of them. */
function wholeHash(text: string): Uint8Array | undefined {
  return /^[0-9a-f]{64}$/.test(text) ? fromHex(text) : undefined;
}

/** A node whose key log is known, whatever it is in this network. */
function knownById({ network }: Parts, who: string): NodeId | undefined {
  const node = parseNodeId(who.toLowerCase());
  return node !== undefined && network.trust.keyLog(node) !== undefined ? node : undefined;
}

function statementInfo(s: Statement): KeyLogReply['statements'][number] {
  return {
    seq: s.seq,
    hash: toHex(s.hash),
    time: isoTime(s.time),
    reason: s.reason,
    signingKey: toHex(s.signingKey),
    noiseStatic: toHex(s.noiseKey),
    nextKeyHash: toHex(s.next),
  };
}

function notAdmin(what: string): WarrenError {
  return new WarrenError('not-admin', `Only an admin of the network can ${what}, and this node is none.`, {
    hint: 'Run it on an admin: warren peers tells who is one.',
  });
}

/** The daemon's folder is not the caller's. */
function checkFile(file: string): void {
  if (isAbsolute(file)) return;
  throw new WarrenError('bad-value', `${JSON.stringify(file)} is no absolute path.`, { hint: 'Write it from / on.' });
}
