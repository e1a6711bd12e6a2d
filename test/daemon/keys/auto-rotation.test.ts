/** Rotations by the calendar, in virtual time. */
import { AutoRotation, ROTATION_JITTER, rotationDue } from '../../../daemon/keys/auto-rotation.js';
import type { Statement } from '../../../protocol/identity/statement.js';
import { assert, suite } from '../../helpers/suite.js';
import { VirtualTimers } from '../../protocol/session/virtual.js';

const test = suite('automatic rotation');
const DAY = 86_400_000;

class Scene {
  readonly timers = new VirtualTimers();
  head = this.statement(this.timers.now(), 0x80);
  every: number | undefined = 30 * DAY;
  isHere = true;
  fails = false;
  /** ms since the epoch of each */
  readonly rotations: number[] = [];
  readonly reminders: number[] = [];
  readonly failures: unknown[] = [];
  readonly auto = new AutoRotation({
    timers: this.timers,
    every: () => this.every,
    head: () => this.head,
    canRotate: () => this.isHere,
    rotate: () => this.rotate(),
    remind: () => void this.reminders.push(this.timers.now()),
    onFailed: error => void this.failures.push(error),
  });

  statement(time: number, first: number): Statement {
    return { time, hash: Uint8Array.of(first, 0) } as unknown as Statement;
  }

  private rotate(): Promise<void> {
    if (this.fails) return Promise.reject(new Error('no space'));
    this.rotations.push(this.timers.now());
    this.head = this.statement(this.timers.now(), (this.rotations.length * 61) % 256);
    return Promise.resolve();
  }

  /** Lets days pass; promises get their turn. */
  async days(n: number): Promise<void> {
    for (let hour = 0; hour < 24 * n; hour++) {
      this.timers.run(DAY / 24);
      await Promise.resolve();
      await Promise.resolve();
      await Promise.resolve();
    }
  }
}

test('keys are replaced after their time, a tenth sooner or later, again and again', async () => {
  const scene = new Scene();
  scene.auto.start();
  await scene.days(26);
  assert.equal(scene.rotations, []);
  await scene.days(340);
  assert.ok(scene.rotations.length >= 11 && scene.rotations.length <= 13, `${scene.rotations.length} in a year`);
  const gaps = scene.rotations.slice(1).map((at, i) => (at - scene.rotations[i]!) / DAY);
  for (const gap of gaps) assert.ok(gap >= 30 * (1 - ROTATION_JITTER) && gap <= 30 * (1 + ROTATION_JITTER) + 1 / 12);
  assert.ok(new Set(gaps.map(Math.round)).size > 2, 'the moments are spread');
  scene.auto.stop();
});

test('the moment depends on the statement alone: a restart does not move it', () => {
  const { head } = new Scene();
  assert.is(rotationDue(head, 30 * DAY), rotationDue({ ...head }, 30 * DAY));
  assert.is.not(rotationDue(head, 30 * DAY), rotationDue({ ...head, hash: Uint8Array.of(1, 0) }, 30 * DAY));
});

test('with the next key elsewhere the owner is reminded, and nothing is rotated', async () => {
  const scene = new Scene();
  scene.isHere = false;
  scene.auto.start();
  await scene.days(26);
  assert.equal([scene.reminders.length, scene.auto.isDue], [0, false]);
  await scene.days(8);
  assert.ok(scene.reminders.length > 0 && scene.auto.isDue);
  assert.equal(scene.rotations, []);
  scene.auto.stop();
});

test('a rotation that fails is told and tried again', async () => {
  const scene = new Scene();
  scene.fails = true;
  scene.auto.start();
  await scene.days(34);
  assert.ok(scene.failures.length > 1);
  scene.fails = false;
  await scene.days(1);
  assert.is(scene.rotations.length, 1);
  scene.auto.stop();
});

test('nothing happens unless the config asks for it; a reload takes effect', async () => {
  const scene = new Scene();
  scene.every = undefined;
  scene.auto.start();
  await scene.days(400);
  assert.equal([scene.rotations, scene.reminders], [[], []]);
  scene.every = 30 * DAY;
  await scene.days(1);
  assert.is(scene.rotations.length, 1);
  scene.auto.stop();
});

test.run();
