/** Bulk both ways and 50 request/response clients over a cable that is cut again and again: nobody notices. */
import { Dice } from '../protocol/session/virtual.js';
import { Askers, answering } from '../helpers/askers.js';
import { Cutter, Meter, cablePair, isInTime, told, type Cable, type Healing } from '../helpers/cuts.js';
import { Lab, until } from '../helpers/hosts.js';
import { NETNS_NEEDS } from '../helpers/netns.js';
import { assert, full, seed, suite } from '../helpers/suite.js';
import { dial, readAll, sendBytes, startUnixService } from '../helpers/traffic.js';

const test = suite('links come and go, streams stay');
const lab = new Lab();
const MIB = 1024 * 1024;
const CLIENTS = 50;
/** A cut for each so many bytes moved, both directions together. */
const CUT_EVERY = 10 * MIB;
const LONGEST_SILENCE_MS = full(3_000, 10_000);

test.after(() => lab.close());

/** Exposes what `target` answers on host-a and opens a tunnel to it on host-b. */
async function tunnel({ a, b }: Cable, service: string, target: string): Promise<string> {
  await a.ok(['expose', service, target]);
  const listen = await b.connect(service, `unix:${lab.folder}/${service}-tunnel.sock`);
  await until(`${service} is known`, async () =>
    (await b.status()).tunnels.some(t => t.service === service && t.state === 'listening'),
  );
  return listen;
}

test(
  'a cut for every 10 MiB moved: all bytes arrive, every request is answered',
  async () => {
    const total = full(24, 1024) * MIB;
    const cable = await cablePair(lab, { subnet: '10.80.0' });
    const [up, down] = [new Meter(), new Meter()];
    const served: Promise<[string, { sha256: string }]>[] = [];
    const bulk = await startUnixService(lab, 'bulk', socket => {
      socket.on('data', (chunk: Buffer) => up.add(chunk.length));
      served.push(Promise.all([sendBytes(socket, total), readAll(socket).finally(() => up.done())]));
    });
    const bulkAt = await tunnel(cable, 'bulk', bulk);
    const askers = await Askers.start(
      await tunnel(cable, 'asking', await startUnixService(lab, 'asking', answering)),
      CLIENTS,
    );
    await until('every client was answered', () => askers.answers > 4 * CLIENTS);

    const socket = await dial(bulkAt);
    socket.on('data', (chunk: Buffer) => down.add(chunk.length));
    const moved = Promise.all([sendBytes(socket, total), readAll(socket).finally(() => down.done())]);
    let isOver = false;
    const over = moved.then(
      () => void (isOver = true),
      () => void (isOver = true),
    );

    const dice = new Dice(seed());
    const cutter = new Cutter(cable, () => dice.between(1_000, LONGEST_SILENCE_MS));
    const healings: Healing[] = [];
    const linksBefore = linksOf(cable);
    for (let at = CUT_EVERY; at < 2 * total && !isOver; at += CUT_EVERY) {
      while (up.bytes + down.bytes < at && !isOver) await Promise.race([up.next(), down.next(), over]);
      const cut = await cutter.next();
      const flowed = Math.max(...(await Promise.all([up.next(), down.next()])));
      healings.push({ cut, ms: flowed - cut.backAt });
    }
    const [sent, received] = await moved;
    const [theirSent, theirReceived] = await served[0]!;
    await askers.stop();

    console.log(
      `note: ${healings.length} cuts, ${linksOf(cable) - linksBefore} new links; from path back until bytes flow both ways: ${told(healings)}; ${askers.answers} answers, the slowest after ${(askers.slowestMs / 1000).toFixed(2)} s`,
    );
    assert.is(received.sha256, theirSent);
    assert.is(theirReceived.sha256, sent);
    assert.equal(askers.errors, []);
    assert.ok(healings.length >= full(3, 190), `${healings.length} cuts`);
    const late = healings.filter(healing => !isInTime(healing));
    assert.equal(late, []);
  },
  { deadline: full(150_000, 45 * 60_000), needs: NETNS_NEEDS },
);

/** Links that host-b has had up. */
function linksOf({ b }: Cable): number {
  return b.log().split('"link-up"').length - 1;
}

test.run();
