/** What kind of life a seed leads: its limits, its users, what the adversary may do. */
import { limitsWith, type Limits } from '../../protocol/limits.js';
import type { StreamClass } from '../../protocol/link/frame.js';
import type { Dice } from '../protocol/session/virtual.js';
import type { UserPlan } from './users.js';

/** What the adversary has. */
export interface Powers {
  /** ms of trouble */
  readonly troubleMs: number;
  /** Its acts come this many ms apart, on average. */
  readonly paceMs: number;
  /** Wires at one time. */
  readonly wires: number;
  readonly cuts: boolean;
  readonly silences: boolean;
  readonly stalls: boolean;
  readonly slowWires: boolean;
  /** Links whose bring-up stops halfway. */
  readonly halfOpens: boolean;
  /** Ciphertext of other links comes in. */
  readonly replays: boolean;
  /** A host with the identity of a peer, without the session's secret. */
  readonly thief: boolean;
  readonly restarts: number;
  readonly drains: boolean;
  readonly closes: boolean;
  /** Some links run through another node. */
  readonly relayed: boolean;
  /** Other peers use most of the process's budget now and then. */
  readonly hogs: boolean;
  /** Times without any new link. */
  readonly blackouts: boolean;
  /** Its first link is left alone. */
  readonly keepsOne: boolean;
}

export interface Profile {
  readonly limits: Limits;
  readonly users: UserPlan;
  readonly powers: Powers;
}

export function profileOf(dice: Dice): Profile {
  const profile = { limits: limitsOf(dice), users: usersOf(dice), powers: powersOf(dice) };
  return dice.chance(0.15) ? besideOne(dice, profile) : profile;
}

/** One link is left alone; nothing but what happens to the others may hold a stream up. */
function besideOne(dice: Dice, { users, powers }: Profile): Profile {
  const none = { halfOpens: false, replays: false, thief: false, relayed: false, drains: false, closes: false };
  return {
    limits: limitsWith({ session: { links: dice.between(2, 3) } }),
    users: { ...users, resetChance: 0, refuseChance: 0, stallChance: 0, classes: ['interactive', 'bulk'] },
    powers: {
      ...powers,
      ...none,
      hogs: false,
      blackouts: false,
      restarts: 0,
      wires: dice.between(2, 5),
      keepsOne: true,
    },
  };
}

function limitsOf(dice: Dice): Limits {
  const initial = dice.pick([512, 4_096, 16_384, 65_536]);
  const peer = dice.pick([1 << 12, 1 << 14, 1 << 17, 1 << 20, 1 << 27]);
  return limitsWith({
    receive: {
      initial,
      least: dice.pick([256, 4_096]),
      stream: dice.pick([initial, 4 * initial, 1 << 24]),
      peer,
      process: dice.pick([peer, 2 * peer, 1 << 28]),
      pool: dice.pick([0, 8_192, 1 << 20]),
    },
    retain: dice.pick([{}, { peer: 1 << 16, least: 1_024 }, { peer: 1 << 14, process: 1 << 14, least: 256, unsent: 1_024 }]), // prettier-ignore
    record: dice.pick([{}, {}, { rekeyRecords: 7 }, { rekeyBytes: 5_000 }, { smallest: 1_024, largest: 2_048 }]),
    session: {
      links: dice.pick([1, 2, 2, 3]),
      probeMs: dice.pick([300, 1_000]),
      graceMs: dice.pick([2_000, 15_000, 120_000, 120_000]),
      streams: dice.chance(0.15) ? dice.between(1, 4) : 2_048,
      replaceAfterMs: dice.chance(0.2) ? dice.pick([500, 3_000]) : 50 * 60_000,
      waitingLinks: dice.pick([2, 4, 4]),
    },
    link: dice.chance(0.3) ? { bulkStart: 4_096, bulkLeast: 2_048 } : {},
  });
}

function usersOf(dice: Dice): UserPlan {
  const isBusy = dice.chance(0.4);
  const all: readonly StreamClass[] = ['interactive', 'bulk'];
  return {
    streams: dice.between(1, isBusy ? 16 : 5),
    resetChance: dice.chance(0.5) ? 0.01 : 0,
    refuseChance: dice.chance(0.3) ? 0.2 : 0,
    stallChance: dice.chance(0.25) ? 0.4 : 0,
    classes: dice.pick([all, all, ['interactive'], ['bulk'], ['interactive', 'bulk', 'relay']]),
    sizes: dice.pick([[300], [300, 5_000], [300, 5_000, 40_000], [5_000, 40_000, 150_000]]),
  };
}

function powersOf(dice: Dice): Powers {
  const has = (p: number): boolean => dice.chance(p);
  return {
    troubleMs: dice.pick([300, 2_000, 8_000, 20_000]),
    paceMs: dice.pick([15, 60, 250, 1_000]),
    wires: dice.between(1, 5),
    cuts: has(0.8),
    silences: has(0.35),
    stalls: has(0.35),
    slowWires: has(0.3),
    halfOpens: has(0.35),
    replays: has(0.25),
    thief: has(0.2),
    restarts: has(0.2) ? dice.between(1, 2) : 0,
    drains: has(0.12),
    closes: has(0.06),
    relayed: has(0.25),
    hogs: has(0.35),
    blackouts: has(0.15),
    keepsOne: false,
  };
}
