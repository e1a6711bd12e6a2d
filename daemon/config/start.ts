/** The flags of `warren up`, as edits of the config. */
import { isDeepStrictEqual } from 'node:util';
import type { StartRequest } from '../../protocol/admin/programs.js';
import { isNodeName, MAX_NAME } from '../../protocol/identity/names.js';
import { showProxySetting } from '../transport/proxy-choice.js';
import { setNode, type Edit, type NodeEdit } from './edit.js';
import type { Config } from './types.js';

/**
 * What a start adds to the config: the flags that differ from it, and a name for a node that has none yet.
 * @param hostname of this host; the first label of it names the node
 */
export function startEdits(config: Config, start: StartRequest, hostname: string): readonly Edit[] {
  const listen = start.noListen === true ? [] : start.listen;
  const flags: NodeEdit = {
    ...(start.name === undefined ? {} : { name: start.name }),
    ...(listen === undefined ? {} : { listen }),
    ...(start.advertise === undefined ? {} : { advertise: start.advertise }),
    ...(start.mdns === undefined ? {} : { mdns: start.mdns }),
    ...(start.links === undefined ? {} : { links: start.links }),
    ...(start.proxy === undefined ? {} : { proxy: keepCredentials(config.node.proxy, start.proxy) }),
  };
  const named = flags.name !== undefined || config.node.name !== undefined;
  const wanted: NodeEdit = named ? flags : { name: nameFor(hostname), ...flags };
  return setNode(wanted).filter(edit => !isDeepStrictEqual(config.node[edit.key as keyof NodeEdit], edit.value));
}

/** The flag cannot hold credentials: the config's stay when it names the same proxy. */
function keepCredentials(before: string | undefined, flag: string): string {
  const wanted = showProxySetting(flag);
  return before !== undefined && showProxySetting(before) === wanted ? before : flag;
}

/** A node's name out of a host's name. */
export function nameFor(hostname: string): string {
  const [label = ''] = hostname.split('.');
  const name = label
    .replace(/[^A-Za-z0-9_-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+|-+$/g, '')
    .slice(0, MAX_NAME);
  return isNodeName(name) ? name : 'node';
}
