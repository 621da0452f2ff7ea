export { HostInterfaces, type InterfacesOptions } from './host-interfaces.js';
export { type HostNetworks, parseNetworks } from './host-networks.js';
export { ipLinks, type Link, type Links } from './links.js';
export { noPortProfiles, type PortProfiles, type SwitchPort } from './port-profiles.js';
