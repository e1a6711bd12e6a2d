/** The door of the services room. */
export { ExposedServices, type ServiceDefinition, type ExposedOptions } from './exposed.js';
export { Tunnels, type TunnelsOptions } from './tunnels.js';
export { Connections, type Carrier, type ConnectionsOptions } from './nc.js';
export { SocketCount } from './sockets.js';
export { allowed, parseRule, parseWho, callerLabel, type Judgement, type Rule } from './policy.js';
export { servicesView, instancesView, type AnnouncingNode, type AnnouncedService } from './registry-view.js';
export { checkServiceName, serviceKey } from './names.js';
export type { Caller, Instance, Mesh, OpenRequest, ServiceStream, StreamHandler } from './mesh.js';
