/** Everything that is measured, in the order of its turns. */
import { has } from '../../helpers/suite.js';
import { PEER } from '../workloads/workload.js';
import { direct } from './direct.js';
import { haproxy } from './haproxy.js';
import { openssh } from './openssh.js';
import { stunnel } from './stunnel.js';
import type { System } from './system.js';
import { warren, type WarrenOptions } from './warren.js';

export function systems(options: WarrenOptions): System[] {
  return [
    direct,
    warren('tcp', options),
    openssh(PEER.sshAes, 'aes256-gcm@openssh.com'),
    haproxy,
    warren('ws', options),
    openssh(PEER.ssh),
    stunnel,
  ];
}

/** The Debian packages that a system lacks here. */
export function lacks({ needs }: System): string[] {
  return Object.entries(needs)
    .filter(([program]) => !has(program))
    .map(([, name]) => name);
}
