/** `warren doctor` on a running daemon: what doctor.ts checks, on this daemon's own figures, and who is reached. */
import { accessSync, constants, statfsSync } from 'node:fs';
import type { DoctorCheck } from '../protocol/admin/contract.js';
import { equal } from '../protocol/bytes.js';
import { nodeIdText, parseNodeId } from '../protocol/identity/node-id.js';
import { forkWords, outrunWords } from './keys/fork-words.js';
import { MAX_STATEMENTS } from './home/keyfile.js';
import { permissionProblems } from './home/home.js';
import { doctorChecks, type DoctorInput } from './observe/doctor.js';
import { proxyInput } from './observe/proxy-input.js';
import { boundAddresses, type Parts } from './parts.js';
import type { Network } from './peers/network.js';
import type { Peer } from './peers/peer.js';
import { relayOf } from './transport/address.js';
import { hasThinSockets } from './transport/thin-socket.js';

/** @returns all checks in a fixed order, the good ones too */
export async function checkDaemon(parts: Parts): Promise<readonly DoctorCheck[]> {
  return [
    ...doctorChecks(inputOf(parts)),
    ...grantChecks(parts),
    ...forkChecks(parts),
    ...logLengthCheck(parts.keyring.seq),
    ...alarmChecks(parts),
    ...peerChecks(parts),
    ...relayChecks(parts),
    nextKeyCheck(parts),
  ];
}

function inputOf(parts: Parts): DoctorInput {
  const { paths, timers, network } = parts;
  const problem = configProblem(parts);
  const proxy = proxyInput(parts.config.node.proxy, process.env, paths.config);
  const head = network.trust.head(network.nodeId);
  return {
    platform: process.platform,
    nodeVersion: process.versions.node,
    thinSockets: hasThinSockets,
    home: { path: paths.root, exists: true, writable: isWritable(paths.root) },
    permissions: permissionProblems(paths.root).map(toWords),
    ...(problem === undefined ? {} : { config: problem }),
    socketPath: paths.socket,
    clock: {
      now: timers.now(),
      ...(head === undefined ? {} : { notBefore: head.statement.time }),
      ...peerOffset(parts),
    },
    freeBytes: freeBytes(paths.root),
    ports: boundAddresses(parts).map(listen => ({ listen, state: 'bound' as const })),
    ...(proxy === undefined ? {} : { proxy }),
    daemonPid: process.pid,
  };
}

function toWords(error: { readonly message: string; readonly hint?: string | undefined }): {
  message: string;
  hint?: string;
} {
  return { message: error.message, ...(error.hint === undefined ? {} : { hint: error.hint }) };
}

function configProblem({ configFile }: Parts): { message: string; hint?: string } | undefined {
  try {
    configFile.load();
    return undefined;
  } catch (error) {
    return error instanceof Error ? toWords(error) : { message: String(error) };
  }
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** The median of what peers' clocks said at their handshakes, against ours at that moment; or of those turned away. */
function peerOffset({ peers, network }: Parts): { peerOffsetMs?: number; refusedOffsetMs?: number } {
  const offsets = peers
    .all()
    .flatMap(peer => [...peer.links].map(({ link, since }) => link.established.peer.clockMs - since))
    .sort((a, b) => a - b);
  const median = offsets[Math.floor(offsets.length / 2)];
  if (median !== undefined) return { peerOffsetMs: median };
  const { aheadMs } = network.clocks;
  return aheadMs === undefined ? {} : { refusedOffsetMs: aheadMs };
}

function grantChecks({ network }: Parts): DoctorCheck[] {
  const judgement = network.trust.judge(network.nodeId);
  if (judgement.verdict === 'admitted')
    return [{ name: 'grant', state: 'ok', message: 'this node is a member of its network' }];
  const hint = 'meet an admin of the network, or join again with a new invite';
  return [{ name: 'grant', state: 'problem', message: judgement.sentence, hint }];
}

/** What this run has been alarmed by. */
function alarmChecks({ alarms }: Parts): DoctorCheck[] {
  const hint =
    'if that was none of you, keys or an invite are in other hands: warren keys rotate --reason compromised, on the node concerned';
  return alarms.map(message => ({ name: 'alarm', state: 'problem', message, hint }));
}

function relayChecks({ relay, config }: Parts): DoctorCheck[] {
  if (!config.node.relay) return [];
  const { relaying } = relay;
  const message = `this node relays: ${relaying} ${relaying === 1 ? 'link' : 'links'} of other members run through it`;
  return [{ name: 'relay', state: 'ok', message }];
}

/** Who is reached only by way of others is named with them. */
function howConnected({ links }: Peer, network: Network): string {
  const relays = [...links].map(({ address }) => relayOf(address));
  if (relays.length === 0 || relays.includes(undefined)) return 'connected';
  const names = [...new Set(relays)].map(id => network.nameOf(parseNodeId(id!)!));
  return `connected, through ${names.join(' and ')}`;
}

function peerChecks(parts: Parts): DoctorCheck[] {
  const { network, peers } = parts;
  const isOutboundOnly = boundAddresses(parts).length === 0;
  const others = network.trust.members().filter(member => !equal(member.node, network.nodeId));
  if (others.length === 0)
    return [{ name: 'peers', state: 'ok', message: 'this node is alone in its network: warren invite' }];
  return others.map(member => {
    const name = `peer ${network.nameOf(member.node)}`;
    const peer = peers.get(nodeIdText(member.node));
    if (peer?.connected === true) return { name, state: 'ok', message: howConnected(peer, network) };
    const addresses = peer === undefined ? [] : peers.addressesOf(peer);
    if (addresses.length === 0 && isOutboundOnly)
      return {
        name,
        state: 'warning',
        message: 'not connected; it is outbound only, as this node is, so neither can dial the other',
        hint: 'let one of the two listen, or a member that both reach relay: node.relay',
      };
    if (addresses.length === 0)
      return {
        name,
        state: 'warning',
        message: 'not connected; it tells no address, so it must dial this node',
        hint: 'check that it runs',
      };
    const message = `not connected: ${peer?.problem ?? 'not tried yet'} (${addresses.join(', ')})`;
    return {
      name,
      state: 'warning',
      message,
      hint: 'check that it runs, and that this host reaches one of these addresses',
    };
  });
}

function forkChecks({ network, keyring }: Parts): DoctorCheck[] {
  const name = 'key log';
  const outrun = outrunWords(network.trust, keyring);
  const words = network.trust.openForks().map(fork => forkWords(network.trust, keyring, fork));
  return [...words, ...(outrun === undefined ? [] : [outrun])].map(({ sentence, hint }) => ({
    name,
    state: 'problem',
    message: sentence,
    hint,
  }));
}

/** Statements of a key log from which on `doctor` warns that it will be full. */
export const LONG_LOG = 3_500;

/**
 * A key log has an end; the node must be replaced by a new one before it comes.
 * @param seq of the newest statement
 */
export function logLengthCheck(seq: number): DoctorCheck[] {
  if (seq + 1 < LONG_LOG) return [];
  const left = MAX_STATEMENTS - 1 - seq;
  const message =
    left > 0
      ? `the key log of this node has room for ${left} more ${left === 1 ? 'rotation' : 'rotations'}`
      : 'the key log of this node is full: its keys cannot be rotated any more';
  const hint = 'make this host a new node in time: an empty home, and an invite (warren up --join TOKEN)';
  return [{ name: 'key log', state: left > 0 ? 'warning' : 'problem', message, hint }];
}

/** Both keys in one place: whoever takes the home has the next key too. */
function nextKeyCheck({ network, keyring, autoRotation }: Parts): DoctorCheck {
  const name = 'next key';
  const file = keyring.nextFile ?? 'FILE';
  if (keyring.isNextFileOfAnother(network.networkId))
    return {
      name,
      state: 'warning',
      message: `the next-key file ${file} names a network that this node has left: a restore from it leads back there`,
      hint: `write it anew: warren keys rotate --next-key ${file}`,
    };
  if (!keyring.isNextHere && autoRotation.isDue)
    return {
      name,
      state: 'warning',
      message: 'the keys of this node have had their time, and the next one lies in a file',
      hint: `rotate them: warren keys rotate --next-key ${file}`,
    };
  if (!keyring.isNextHere) return { name, state: 'ok', message: `the next identity key lies elsewhere: ${file}` };
  return {
    name,
    state: network.isAdmin ? 'warning' : 'ok',
    message: 'the next identity key lies in the same home, so it does not protect against a thief of the home',
    ...(network.isAdmin && {
      hint: 'move it to a file on another medium: warren keys detach-next FILE; this node may admit others to the network',
    }),
  };
}
