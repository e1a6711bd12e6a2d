/** Peers as the admin API shows them. */
import type { LinkInfo, PeerInfo } from '../../protocol/admin/contract.js';
import { equal } from '../../protocol/bytes.js';
import { nodeIdText, parseNodeId, type NodeIdText } from '../../protocol/identity/node-id.js';
import type { Member } from '../../protocol/identity/trust-view.js';
import { relayOf } from '../transport/address.js';
import type { PeerLink } from './bring-up.js';
import type { Network } from './network.js';
import type { Peers } from './peers.js';

export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

export function linkInfo({ link, transport, address, direction, since }: PeerLink, network: Network): LinkInfo {
  const relay = relayOf(address);
  const via = relay === undefined ? undefined : parseNodeId(relay);
  return {
    transport: transport.kind,
    address,
    via: via === undefined ? null : network.nameOf(via),
    direction,
    rttMs: link.rttMs === null ? null : Math.round(link.rttMs * 1000) / 1000,
    suite: link.established.suite,
    since: isoTime(since),
    bytesSent: link.bytesSent,
    bytesReceived: link.bytesReceived,
    rekeys: link.rekeys,
  };
}

/** Every other member, connected ones first, then by name. */
export function peerInfos(network: Network, peers: Peers, isRemoved: (id: NodeIdText) => boolean): PeerInfo[] {
  return network.trust
    .members()
    .filter(member => !equal(member.node, network.nodeId))
    .map(member => peerInfo(member, network, peers, isRemoved))
    .sort((a, b) => Number(b.state === 'connected') - Number(a.state === 'connected') || a.name.localeCompare(b.name));
}

function peerInfo(member: Member, network: Network, peers: Peers, isRemoved: (id: NodeIdText) => boolean): PeerInfo {
  const id = nodeIdText(member.node);
  const peer = peers.get(id);
  const judgement = network.trust.judge(member.node);
  const state = peer?.state(isRemoved(id)) ?? 'down';
  const refused = judgement.verdict === 'admitted' ? null : judgement.sentence;
  return {
    name: network.nameOf(member.node),
    id,
    state,
    seq: network.trust.head(member.node)?.seq ?? 0,
    admin: member.admin,
    tags: member.grant.tags,
    grantExpires: isoTime(member.grant.expires),
    links: [...(peer?.links ?? [])].map(link => linkInfo(link, network)),
    linksUp: peer?.linksUp ?? 0,
    rekeys: peer?.rekeys ?? 0,
    streams: peer?.slot.session?.stats().streams ?? 0,
    lastSeen: peer?.lastSeen === undefined ? null : isoTime(peer.lastSeen),
    problem: state === 'connected' ? null : (refused ?? told(peer?.problem) ?? null),
    addresses: peer === undefined ? (network.trust.record(member.node)?.addresses ?? []) : peers.addressesOf(peer),
  };
}

/** A link may end without a word. */
function told(problem: string | undefined): string | undefined {
  return problem === '' ? undefined : problem;
}
