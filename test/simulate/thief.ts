/**
 * A host that runs with the identity of a peer and lacks the session's secret. It brings up a link of its own and says
 * what it has overheard on others, or what it makes up, or it stands between the two and passes their words on. The
 * adversary leaves the honest links alone meanwhile: the session must go on untouched.
 */
import { EMPTY } from '../../protocol/bytes.js';
import type { Code } from '../../protocol/codes.js';
import { FRAME, decodeAttach, encodeAttach, encodeReset, encodeWindow } from '../../protocol/link/frame.js';
import { Link, type LinkEnd, type LinkHandler } from '../../protocol/link/index.js';
import { establishedPair, primitives } from '../protocol/session/world.js';
import type { Dice } from '../protocol/session/virtual.js';
import { quickPrimitives } from './aead.js';
import type { Auditor } from './audit.js';
import type { Hub } from './hub.js';
import type { Peer } from './peer.js';
import { GOOD_WIRE, Wire, type Side } from './wire.js';

/** So long it stays, ms: longer than a victim takes to find out that its own links are alive. */
const STAY_MS = 8_000;
const SPEAKS_WITHIN_MS = 100;
const PROOF_BYTES = 32;

/** What it says to a side that answers, and to one that decides and has sent ATTACH or NEW. */
const TO_ANSWERER = ['new', 'overheard attach', 'made-up attach', 'confirm', 'stream frames'] as const;
const TO_DECIDER = ['unknown', 'overheard attached', 'made-up attached', 'reflection', 'new-ok', 'stream frames'] as const; // prettier-ignore
type Word = (typeof TO_ANSWERER)[number] | (typeof TO_DECIDER)[number];

/** Codes with which a link is turned away, and whether the operator must hear of it. */
const ALARMING: ReadonlySet<Code> = new Set<Code>(['duplicate-identity']);

export class Thief {
  private readonly dice: Dice;
  private links: Link[] = [];

  constructor(
    private readonly hub: Hub,
    private readonly auditor: Auditor,
  ) {
    this.dice = hub.dice('thief');
  }

  /** Brings up a link to a peer, in the name of the other one; or to both. */
  enter(victim: Peer): void {
    const { hub, dice } = this;
    hub.truceUntil = hub.now + STAY_MS;
    for (const wire of hub.wires) wire.isSpared = true;
    hub.timers.after(STAY_MS, () => this.leave());
    if (dice.chance(0.25)) return this.standBetween();
    const word = victim.side === 1 ? dice.pick(TO_ANSWERER) : dice.pick(TO_DECIDER);
    hub.trace.note(`a thief comes to side ${victim.side}: ${word}`);
    const link = this.connect(victim, {
      frame: (type, body) => {
        if (type === FRAME.ATTACH || type === FRAME.NEW) this.say(link, word, body.slice());
      },
    });
    if (victim.side === 1) {
      hub.timers.after(dice.next() * SPEAKS_WITHIN_MS, () => this.say(link, word, EMPTY));
    }
  }

  /** Both are told the other's words. */
  private standBetween(): void {
    const { hub } = this;
    hub.trace.note('a thief stands between');
    const links: Link[] = [];
    for (const peer of hub.peers) {
      const other = peer.side === 0 ? 1 : 0;
      links.push(this.connect(peer, { frame: (type, body) => links[other]!.send(type, body.slice()) }));
    }
  }

  /** Goes, and the truce with it. */
  leave(): void {
    for (const link of this.links) link.close('no-error');
    this.links = [];
    this.hub.truceUntil = 0;
    for (const wire of this.hub.wires) wire.isSpared = false;
  }

  private connect(victim: Peer, handler: LinkHandler): Link {
    const { hub, dice } = this;
    const wire = new Wire(hub.wires.length, hub.timers, hub.dice(`wire ${hub.wires.length}`), GOOD_WIRE);
    hub.wires.push(wire);
    wire.isSpared = true;
    const [a, b] = hub.peers;
    const established = establishedPair(dice, [a.id, b.id]);
    const side: Side = victim.side === 0 ? 1 : 0;
    const { alarms } = victim;
    const link = new Link({
      established: established[side],
      port: wire.port(side),
      timers: hub.timers,
      primitives: quickPrimitives(primitives, hub.random),
      limits: hub.limits,
      onClosed: (code, _sentence, by) => this.turnedAway(victim, alarms, code, by),
    });
    link.setHandler(handler);
    wire.connect(side, {
      receive: bytes => link.receive(bytes),
      drained: () => link.drained(),
      closed: why => link.transportClosed(why),
    });
    this.links.push(link);
    victim.connect(wire, established[victim.side], { way: 'short' }, true);
    return link;
  }

  private turnedAway(victim: Peer, alarms: number, code: Code, by: LinkEnd): void {
    if (by !== 'peer' || !ALARMING.has(code)) return;
    if (victim.alarms === alarms)
      this.hub.fail(`side ${victim.side}: a thief was turned away, and no alarm was raised`);
  }

  private say(link: Link, word: Word, heard: Uint8Array): void {
    const { dice } = this;
    const proof = (): Uint8Array => dice.bytes(PROOF_BYTES);
    switch (word) {
      case 'new':
        return link.send(FRAME.NEW, EMPTY);
      case 'overheard attach':
        link.send(FRAME.ATTACH, this.overheard(FRAME.ATTACH) ?? EMPTY);
        return link.send(FRAME.CONFIRM, EMPTY);
      case 'made-up attach': {
        const attach = this.overheard(FRAME.ATTACH);
        if (attach === undefined) return link.send(FRAME.NEW, EMPTY);
        link.send(FRAME.ATTACH, encodeAttach({ ...decodeAttach(attach), proof: proof() }));
        return link.send(FRAME.CONFIRM, EMPTY);
      }
      case 'confirm':
        return link.send(FRAME.CONFIRM, EMPTY);
      case 'stream frames':
        return this.meddle(link);
      case 'unknown':
        return link.send(FRAME.UNKNOWN, EMPTY);
      case 'overheard attached':
        return link.send(FRAME.ATTACHED, this.overheard(FRAME.ATTACHED) ?? proof());
      case 'made-up attached':
        return link.send(FRAME.ATTACHED, proof());
      case 'reflection':
        return link.send(FRAME.ATTACHED, heard.length > PROOF_BYTES ? heard.slice(-PROOF_BYTES) : proof());
      case 'new-ok':
        return link.send(FRAME.NEW_OK, EMPTY);
      default:
        return word satisfies never;
    }
  }

  private overheard(type: number): Uint8Array | undefined {
    const known = this.auditor.overheard.filter(frame => frame.type === type);
    // The last one is the best: its epoch is the nearest.
    return this.dice.chance(0.6) ? known.at(-1)?.body : known.length > 0 ? this.dice.pick(known).body : undefined;
  }

  /** Frames for streams that live on other links. */
  private meddle(link: Link): void {
    for (const { byId } of this.hub.peers[0].view === undefined ? [] : [this.hub.peers[0].view]) {
      for (const stream of [...byId.keys()].slice(0, 3)) {
        link.send(FRAME.WINDOW, encodeWindow({ stream, received: 0, limit: 1_000_000 }));
        link.send(FRAME.RESET, encodeReset({ stream, code: 'cancelled', dialed: false }));
      }
    }
  }
}
