/** `warren reload` on a running daemon: each change of the config file, and how to take it back. */
import type { ReloadReply } from '../protocol/admin/contract.js';
import type { Change } from './config/diff.js';
import { reloadConfig, type Undo } from './config/reload.js';
import type { ServiceConfig } from './config/types.js';
import { errorFields, type LogLevel } from './observe/log.js';
import type { Parts } from './parts.js';

/**
 * All of it or nothing.
 * @throws WarrenError when the file, or a change, cannot be used; everything is as before then
 */
export async function reload(
  parts: Parts,
  onLogLevel: (level: LogLevel) => void,
): Promise<Omit<ReloadReply, 'apiVersion'>> {
  const { config, changes, restartNeeded } = await reloadConfig({
    current: parts.config,
    load: () => parts.configFile.load(),
    apply: change => apply(parts, onLogLevel, change),
    undoFailed: (change, error) =>
      parts.log.error(
        'undo-failed',
        { change: change.sentence, ...errorFields(error) },
        'a change could not be taken back',
      ),
  });
  parts.config = config;
  parts.publish();
  parts.log.info('reloaded', { changes, restartNeeded }, 'the config was read again');
  return { changes, restartNeeded };
}

async function apply(parts: Parts, onLogLevel: (level: LogLevel) => void, change: Change): Promise<Undo> {
  switch (change.area) {
    case 'service':
      return applyService(parts, change.name, change.before, change.after);
    case 'tunnel':
      return applyTunnel(parts, change.name, change.before?.listen ?? [], change.after?.listen ?? []);
    case 'peers':
      parts.peers.setFixed(change.after);
      return () => parts.peers.setFixed(change.before);
    case 'node':
      return applyNode(parts, onLogLevel, change);
    case 'limits':
    case 'keys':
      return () => undefined;
  }
}

/** The keys that no room asks for each time it needs them. */
function applyNode(
  parts: Parts,
  onLogLevel: (level: LogLevel) => void,
  { key, before, after }: Extract<Change, { area: 'node' }>,
): Undo {
  const set = (value: unknown): void => {
    if (key === 'logLevel') onLogLevel(value as LogLevel);
    else if (key === 'relay') parts.relay.set(value === true ? 'on' : 'off');
  };
  set(after);
  return () => set(before);
}

function applyService(
  { exposed }: Parts,
  name: string,
  before: ServiceConfig | undefined,
  after: ServiceConfig | undefined,
): Undo {
  const set = (service: ServiceConfig | undefined): void => {
    if (service !== undefined) exposed.set(name, service);
    else if (exposed.has(name)) exposed.remove(name);
  };
  set(after);
  return () => set(before);
}

async function applyTunnel(
  { tunnels, ports }: Parts,
  service: string,
  before: readonly string[],
  after: readonly string[],
): Promise<Undo> {
  const change = async (from: readonly string[], to: readonly string[]): Promise<void> => {
    // As configured; `:0` is found by the port that was remembered for it.
    for (const where of from.filter(l => !to.includes(l)))
      tunnels.close(service, ports.known(`tunnel ${service}`, where));
    for (const where of to.filter(l => !from.includes(l)))
      await ports.bind(
        `tunnel ${service}`,
        where,
        l => tunnels.open(service, l),
        t => t.listen,
      );
  };
  await change(before, after);
  return () => change(after, before);
}
