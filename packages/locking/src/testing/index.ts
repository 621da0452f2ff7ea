export { EtcdServers } from './etcd-servers.js';
export { SanlockHosts } from './sanlock-hosts.js';
